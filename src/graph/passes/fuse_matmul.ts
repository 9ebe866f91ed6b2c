import { isNode, producer, type Value } from "../../ir/value.js"
import { sameDims } from "../../ir/dim.js"
import { apply } from "../build.js"
import { type Pass, privateProducer, type Readers } from "../rewrite.js"

/**
 * `matmul(x, W) + b` becomes a matmul with a bias, and `matmul(...) + residual` one that adds the residual as it writes:
 * one launch and one trip through memory fewer each.
 */
export const fuseMatmul: Pass = {
  name: "fuse_matmul",
  makes: null,
  rule: () => (node, readers) => {
    if (!isNode(node, "binary") || node.op.fn !== "add") return null
    const { a, b } = node.operands
    // Of two products the one of a norm stays plain: fuse_norm_matmul may take it.
    const [first, second] = isOfNorm(a) ? [b, a] : [a, b]
    const fused = match(first, second, readers) ?? match(second, first, readers)
    if (fused) return new Map([[node.results.y, fused]])
    const isSum = [a, b].some((value) => value.node.op.kind === "matmul")
    return isSum ? "the product is read by others too, or what is added is neither a bias nor of its shape" : null
  },
}

function isOfNorm(value: Value): boolean {
  const product = producer(value, "matmul")
  return product !== null && producer(product.operands.x, "rms_norm") !== null
}

function match(added: Value, other: Value, readers: Readers): Value | null {
  const product = privateProducer(added, "matmul", readers)
  if (!product || product.operands.residual) return null
  const { op, operands } = product
  const isBias = other.shape.length === 1 && other.node.op.kind === "constant" && other.shape[0] === added.shape[1]
  if (isBias && !operands.weight.bias) {
    return apply(op, { ...operands, weight: { ...operands.weight, bias: other } }).y
  }
  return sameDims(other.shape, added.shape) ? apply(op, { ...operands, residual: other }).y : null
}
