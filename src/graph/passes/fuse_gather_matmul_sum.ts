import { sameShape } from "../../tensor/shape.js"
import { apply } from "../build.js"
import type { Value } from "../ir.js"
import { isPrivate, type Pass, type Readers, rewrite } from "../rewrite.js"

/** `residual + weighted_sum(gather_matmul(x, ids, W), weights)`, x `[L, k, K]`: the experts' rows never reach memory. */
export const fuseGatherMatmulSum: Pass = (roots) => rewrite(roots, fuse)

function fuse(value: Value, readers: Readers): Value | null {
  if (value.op.kind !== "binary" || value.op.fn !== "add") return null
  for (const [sum, residual] of [value.inputs, [...value.inputs].reverse()]) {
    if (sum.op.kind !== "weighted_sum" || !isPrivate(sum, readers) || !sameShape(sum.shape, residual.shape)) continue
    const [product, weights] = sum.inputs
    if (product.op.kind !== "gather_matmul" || !isPrivate(product, readers)) continue
    if (product.inputs[0].shape.length !== 3) continue
    return apply({ kind: "gather_matmul_sum", format: product.op.format }, [...product.inputs, weights, residual])
  }
  return null
}
