import { isNode, producer } from "../../ir/value.js"
import { apply } from "../build.js"
import { isPrivate, type Pass } from "../rewrite.js"

/** `gather_glu(rms_norm(x), ids, ...)` becomes one kernel, unless the norm is written for others anyway. */
export const fuseNormGatherGlu: Pass = {
  name: "fuse_norm_gather_glu",
  makes: "norm_gather_glu",
  rule: () => (node, readers) => {
    if (!isNode(node, "gather_glu")) return null
    const { op, operands } = node
    const norm = producer(operands.x, "rms_norm")
    if (!norm) return "its rows are not those of a norm"
    if (!isPrivate(operands.x, readers)) return "the norm is read by others too"
    const { x, weight } = norm.operands
    const { y } = apply({ ...op, kind: "norm_gather_glu", eps: norm.op.eps }, { ...operands, x, norm: weight })
    return new Map([[node.results.y, y]])
  },
}
