import type { KernelOf, OperandsOf, ResultsOf } from "../../../ir/operations.js"
import type { Operand } from "../../../ir/program.js"
import { itemSize } from "../../../tensor/dtype.js"
import type { Dispatch, KernelContext } from "../dispatch.js"
import { anyGatherMatmul, anyGatherGlu, anyMatmul } from "./any_format.js"
import { topK } from "./choose.js"
import { binary, takeAlongAxis, weightedSum } from "./elementwise.js"
import { rmsNorm, softmax } from "./rows.js"

/** Fused operations from primitive kernels, for weights that no fast kernel takes. */

function normed(eps: number, x: Operand, weight: Operand, context: KernelContext) {
  const y = context.scratch("float32", x.shape, x.rows)
  return { rows: y, dispatches: rmsNorm({ eps }, { x, weight }, { y }, context) }
}

export function anyNormMatmul(
  { eps }: KernelOf<"norm_matmul">,
  { x, norm, weights }: OperandsOf<"norm_matmul", Operand>,
  { y }: { y: Operand },
  context: KernelContext,
): Dispatch[] {
  const { rows, dispatches } = normed(eps, x, norm, context)
  let column = 0
  const products = weights.flatMap((weight) => {
    const [N] = weight.weight.shape
    const part = { ...y, offset: y.offset + column * itemSize(y.dtype), shape: [x.shape[0], N] }
    column += N
    return anyMatmul({ x: rows, weight }, part, context)
  })
  return [...dispatches, ...products]
}

export function anyRoute(
  { eps, k }: KernelOf<"route">,
  { x, norm, weight }: OperandsOf<"route", Operand>,
  { ids, scores }: ResultsOf<"route", Operand>,
  context: KernelContext,
): Dispatch[] {
  const { rows, dispatches } = normed(eps, x, norm, context)
  const logits = context.scratch("float32", [x.shape[0], weight.weight.shape[0]], x.rows)
  const largest = context.scratch("float32", ids.shape, ids.rows)
  return [
    ...dispatches,
    ...anyMatmul({ x: rows, weight }, logits, context),
    ...topK({ k }, { x: logits }, { ids }, context),
    ...takeAlongAxis(null, { x: logits, indices: ids }, { y: largest }),
    ...softmax(null, { x: largest }, { y: scores }, context),
  ]
}

export function anyNormGatherGlu(
  op: KernelOf<"norm_gather_glu">,
  { x, norm, ...rest }: OperandsOf<"norm_gather_glu", Operand>,
  results: { y: Operand },
  context: KernelContext,
): Dispatch[] {
  const { rows, dispatches } = normed(op.eps, x, norm, context)
  return [...dispatches, ...anyGatherGlu(op, { x: rows, ...rest }, results, context)]
}

export function anyGatherMatmulSum(
  _: unknown,
  { scores, residual, ...product }: OperandsOf<"gather_matmul_sum", Operand>,
  { y }: { y: Operand },
  context: KernelContext,
): Dispatch[] {
  const products = context.scratch("float32", [...product.ids.shape, y.shape[1]], y.rows)
  const sum = context.scratch("float32", y.shape, y.rows)
  return [
    ...anyGatherMatmul(product, products, context),
    ...weightedSum(null, { x: products, weights: scores }, { y: sum }),
    ...binary({ fn: "add" }, { a: sum, b: residual }, { y }),
  ]
}
