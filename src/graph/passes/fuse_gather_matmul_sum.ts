import { isNode, type Value } from "../../ir/value.js"
import { sameDims } from "../../ir/dim.js"
import { apply } from "../build.js"
import { type Pass, privateProducer, type Readers } from "../rewrite.js"

/** `residual + weighted_sum(gather_matmul(x, ids, W), weights)`, x `[L, k, K]`: the experts' rows never reach memory. */
export const fuseGatherMatmulSum: Pass = {
  name: "fuse_gather_matmul_sum",
  makes: "gather_matmul_sum",
  rule: () => (node, readers) => {
    if (!isNode(node, "binary") || node.op.fn !== "add") return null
    const { a, b } = node.operands
    const outcome = match(a, b, readers) ?? match(b, a, readers)
    return outcome === null || typeof outcome === "string" ? outcome : new Map([[node.results.y, outcome]])
  },
}

function match(added: Value, residual: Value, readers: Readers): Value | string | null {
  if (added.node.op.kind !== "weighted_sum") return null
  const sum = privateProducer(added, "weighted_sum", readers)
  if (!sum) return "the weighted sum is read by others too"
  if (!sameDims(added.shape, residual.shape)) return "what is added has another shape"
  const product = privateProducer(sum.operands.x, "gather_matmul", readers)
  if (!product) return "what is summed is no product with experts, or read by others too"
  const { x, ids, weight } = product.operands
  if (x.shape.length !== 3) return "the experts of a token share a row"
  return apply({ kind: "gather_matmul_sum" }, { x, ids, weight, scores: sum.operands.weights, residual }).y
}
