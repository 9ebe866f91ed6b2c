import { isNode, type NodeOf, producer, type Value } from "../../ir/value.js"
import { apply } from "../build.js"
import { isPrivate, type Pass, type Readers } from "../rewrite.js"

/**
 * The choice of experts, from the norm of the rows to the weights: `logits = matmul(rms_norm(x), W)`,
 * `ids = top_k(logits)`, `softmax(take_along_axis(logits, ids))`. The norm is computed once more where others read it
 * too: that is cheaper than a launch of its own.
 */
export const fuseRoute: Pass = {
  name: "fuse_route",
  makes: "route",
  rule: () => {
    const routes = new Map<Value, NodeOf<"route">["results"]>() // by logits
    return (node, readers) => {
      if (isNode(node, "top_k")) {
        const route = routeOf(node, readers)
        if (typeof route === "string") return route
        routes.set(node.operands.x, route)
        return new Map([[node.results.ids, route.ids]])
      }
      if (!isNode(node, "softmax")) return null
      const taken = producer(node.operands.x, "take_along_axis")
      const route = taken && routes.get(taken.operands.x)
      return route ? new Map([[node.results.y, route.scores]]) : null
    }
  },
}

/** The operation for these logits, if they are read for the choice of experts only; else the reason why not. */
function routeOf(topK: NodeOf<"top_k">, readers: Readers): NodeOf<"route">["results"] | string {
  const product = producer(topK.operands.x, "matmul")
  if (!product || product.operands.residual) return "what it chooses from is no plain product"
  const norm = producer(product.operands.x, "rms_norm")
  if (!norm) return "the product's rows are not those of a norm"
  const all = readers.get(topK.operands.x)!.filter((reader) => typeof reader !== "string")
  const original = all.find((reader) => isNode(reader, "top_k"))
  const taken = all.find((reader) => isNode(reader, "take_along_axis"))
  if (readers.get(topK.operands.x)!.length !== 2 || !original || !taken) {
    return "the logits are read for something else too, or not for the experts' weights"
  }
  const values = taken.results.y
  const [weights] = readers.get(values)!
  const isChoice = taken.operands.indices === original.results.ids && isPrivate(values, readers)
  if (!isChoice || typeof weights === "string" || weights.op.kind !== "softmax") {
    return "the experts' weights are no softmax over the chosen logits"
  }
  const { x, weight } = norm.operands
  return apply({ kind: "route", eps: norm.op.eps, k: topK.op.k }, { x, norm: weight, weight: product.operands.weight })
}
