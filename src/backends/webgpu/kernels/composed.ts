import { itemSize } from "../../../tensor/dtype.js"
import type { KernelOf, WeightFormat } from "../../ops.js"
import { weightRoles } from "../../ops.js"
import type { Operand } from "../../program.js"
import type { Dispatch, KernelContext } from "../dispatch.js"
import { anyGatherMatmul, anyGatherSwiglu, anyMatmul } from "./any_format.js"
import { topK } from "./choose.js"
import { binary, takeAlongAxis, weightedSum } from "./elementwise.js"
import { rmsNorm, softmax } from "./rows.js"

/** Fused operations from primitive kernels, for weights that no fast kernel takes. */

/** Splits the operands of several weights, in the order of their formats. */
export function splitWeights(formats: readonly WeightFormat[], operands: readonly Operand[]): Operand[][] {
  let at = 0
  return formats.map((format) => {
    const start = at
    at += weightRoles(format).length
    return operands.slice(start, at)
  })
}

function normed(eps: number, x: Operand, weight: Operand, context: KernelContext) {
  const output = context.scratch("float32", x.shape)
  return { output, dispatches: rmsNorm({ kind: "rms_norm", eps }, [x, weight], output, context) }
}

export function anyNormMatmul(
  { eps, formats }: KernelOf<"norm_matmul">,
  [x, norm, ...operands]: readonly Operand[],
  output: Operand,
  context: KernelContext,
): Dispatch[] {
  const { output: rows, dispatches } = normed(eps, x, norm, context)
  let column = 0
  const products = splitWeights(formats, operands).flatMap((weights, i) => {
    const N = weights[0].shape[0]
    const offset = output.offset + column * itemSize(output.dtype)
    column += N
    const part = { ...output, offset, shape: [x.shape[0], N] }
    return anyMatmul({ x: rows, format: formats[i], weights, residual: null, output: part }, context)
  })
  return [...dispatches, ...products]
}

export function anyRoute(
  { eps, k, format }: KernelOf<"route">,
  [x, norm, ...weights]: readonly Operand[],
  output: Operand,
  context: KernelContext,
): Dispatch[] {
  const { output: rows, dispatches } = normed(eps, x, norm, context)
  const [L] = x.shape
  const logits = context.scratch("float32", [L, weights[0].shape[0]])
  const largest = context.scratch("float32", [L, k])
  const ids = { ...output, shape: [L, k], strides: [k, 1] }
  const scores: Operand = { ...ids, offset: output.offset + L * k * itemSize("uint32"), dtype: "float32" }
  return [
    ...dispatches,
    ...anyMatmul({ x: rows, format, weights, residual: null, output: logits }, context),
    ...topK({ kind: "top_k", k }, [logits], ids, context),
    ...takeAlongAxis({ kind: "take_along_axis" }, [logits, ids], largest),
    ...softmax({ kind: "softmax" }, [largest], scores, context),
  ]
}

export function anyNormGatherSwiglu(
  op: KernelOf<"norm_gather_swiglu">,
  [x, norm, ...rest]: readonly Operand[],
  output: Operand,
  context: KernelContext,
): Dispatch[] {
  const { output: rows, dispatches } = normed(op.eps, x, norm, context)
  return [...dispatches, ...anyGatherSwiglu({ ...op, kind: "gather_swiglu" }, [rows, ...rest], output, context)]
}

export function anyGatherMatmulSum(
  { format }: KernelOf<"gather_matmul_sum">,
  operands: readonly Operand[],
  output: Operand,
  context: KernelContext,
): Dispatch[] {
  const [x, ids, ...weights] = operands.slice(0, -2)
  const [scores, residual] = operands.slice(-2)
  const products = context.scratch("float32", [...ids.shape, output.shape[1]])
  const sum = context.scratch("float32", output.shape)
  return [
    ...anyGatherMatmul({ x, ids, format, weights, output: products }, context),
    ...weightedSum({ kind: "weighted_sum" }, [products, scores], sum),
    ...binary({ kind: "binary", fn: "add" }, [sum, residual], output),
  ]
}
