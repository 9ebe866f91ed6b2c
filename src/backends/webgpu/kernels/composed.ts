import type { Operand } from "../../../ir/program.js"
import { itemSize } from "../../../tensor/dtype.js"
import type { KernelContext } from "../dispatch.js"
import { anyGatherMatmul, anyGatherGlu, anyMatmul } from "./any_format.js"
import { topK } from "./choose.js"
import { sumOfSlots, takeAlongAxis } from "./elementwise.js"
import type { Planner } from "./planner.js"
import { rmsNorm, softmax } from "./rows.js"

/** Fused operations from primitive kernels, for weights that no fast kernel takes. */

function normed(eps: number, x: Operand, weight: Operand, context: KernelContext) {
  const y = context.scratch("float32", x.shape, x.rows)
  return { rows: y, dispatches: rmsNorm({ kind: "rms_norm", eps }, { x, weight }, { y }, context) }
}

export const anyNormMatmul: Planner<"norm_matmul"> = ({ eps }, { x, norm, weights }, { y }, context) => {
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

export const anyRoute: Planner<"route"> = ({ eps, k }, { x, norm, weight }, { ids, scores }, context) => {
  const { rows, dispatches } = normed(eps, x, norm, context)
  const logits = context.scratch("float32", [x.shape[0], weight.weight.shape[0]], x.rows)
  const largest = context.scratch("float32", ids.shape, ids.rows)
  return [
    ...dispatches,
    ...anyMatmul({ x: rows, weight }, logits, context),
    ...topK({ kind: "top_k", k }, { x: logits }, { ids }, context),
    ...takeAlongAxis({ kind: "take_along_axis" }, { x: logits, indices: ids }, { y: largest }, context),
    ...softmax({ kind: "softmax" }, { x: largest }, { y: scores }, context),
  ]
}

export const anyNormGatherGlu: Planner<"norm_gather_glu"> = (op, { x, norm, ...rest }, results, context) => {
  const { rows, dispatches } = normed(op.eps, x, norm, context)
  return [...dispatches, ...anyGatherGlu({ ...op, kind: "gather_glu" }, { x: rows, ...rest }, results, context)]
}

export const anyGatherMatmulSum: Planner<"gather_matmul_sum"> = (
  _,
  { scores, residual, ...product },
  { y },
  context,
) => {
  const products = context.scratch("float32", [...product.ids.shape, y.shape[1]], y.rows)
  return [...anyGatherMatmul(product, products, context), sumOfSlots(products, scores, residual, y)]
}
