import { sameShape } from "../../tensor/shape.js"
import { apply } from "../build.js"
import type { Op, Value } from "../ir.js"
import type { Rule, Uses } from "../rewrite.js"

type Matmul = Value & { op: Extract<Op, { kind: "matmul" }> }

function isPrivateMatmul(value: Value, uses: Uses): value is Matmul {
  return value.op.kind === "matmul" && uses.get(value) === 1
}

/**
 * `matmul(x, W) + b` becomes a matmul with a bias, and `matmul(...) + residual` one that adds the residual as it writes:
 * one launch and one trip through memory fewer each.
 */
export const fuseMatmul: Rule = (value, uses) => {
  if (value.op.kind !== "binary" || value.op.fn !== "add") return null
  for (const [product, other] of [value.inputs, [...value.inputs].reverse()]) {
    if (!isPrivateMatmul(product, uses) || product.op.residual) continue
    const { op, inputs } = product
    if (
      !op.format.bias &&
      other.shape.length === 1 &&
      other.op.kind === "constant" &&
      other.shape[0] === value.shape[1]
    ) {
      return apply({ ...op, format: { ...op.format, bias: true } }, [...inputs, other])
    }
    if (sameShape(other.shape, product.shape)) return apply({ ...op, residual: true }, [...inputs, other])
  }
  return null
}
