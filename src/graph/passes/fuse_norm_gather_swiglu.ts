import { apply } from "../build.js"
import type { Value } from "../ir.js"
import { isPrivate, type Pass, type Readers, rewrite } from "../rewrite.js"

/** `gather_swiglu(rms_norm(x), ids, ...)` becomes one kernel, unless the norm is written for others anyway. */
export const fuseNormGatherSwiglu: Pass = (roots) => rewrite(roots, fuse)

function fuse({ op, inputs }: Value, readers: Readers): Value | null {
  if (op.kind !== "gather_swiglu") return null
  const [norm, ...operands] = inputs
  if (norm.op.kind !== "rms_norm" || !isPrivate(norm, readers)) return null
  return apply({ ...op, kind: "norm_gather_swiglu", eps: norm.op.eps }, [...norm.inputs, ...operands])
}
