import { isNode, producer } from "../../ir/value.js"
import { apply } from "../build.js"
import { isPrivate, type Pass } from "../rewrite.js"

/** `glu(gather_matmul(x, gate), gather_matmul(x, up))` becomes one kernel that reads `x` and the expert ids once. */
export const fuseGlu: Pass = {
  name: "fuse_glu",
  makes: null,
  rule: () => (node, readers) => {
    if (!isNode(node, "glu")) return null
    const gate = producer(node.operands.gate, "gather_matmul")
    const up = producer(node.operands.up, "gather_matmul")
    if (!gate || !up) return "gate and up are no products with experts"
    const { x, ids } = gate.operands
    if (x !== up.operands.x || ids !== up.operands.ids || x.shape.length !== 2) return "gate and up are of other rows"
    if (!isPrivate(node.operands.gate, readers) || !isPrivate(node.operands.up, readers)) {
      return "gate or up is read by others too"
    }
    const weights = { gate: gate.operands.weight, up: up.operands.weight }
    return new Map([[node.results.y, apply({ ...node.op, kind: "gather_glu" }, { x, ids, ...weights }).y]])
  },
}
