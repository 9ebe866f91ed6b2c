import { sameShape } from "../../tensor/shape.js"
import { apply } from "../build.js"
import type { Op, Value } from "../ir.js"
import { isPrivate, type Pass, type Readers, rewrite } from "../rewrite.js"

type Matmul = Value & { op: Extract<Op, { kind: "matmul" }> }

function isPrivateMatmul(value: Value, readers: Readers): value is Matmul {
  return value.op.kind === "matmul" && isPrivate(value, readers)
}

/**
 * `matmul(x, W) + b` becomes a matmul with a bias, and `matmul(...) + residual` one that adds the residual as it writes:
 * one launch and one trip through memory fewer each.
 */
export const fuseMatmul: Pass = (roots) => rewrite(roots, fuse)

function fuse(value: Value, readers: Readers): Value | null {
  if (value.op.kind !== "binary" || value.op.fn !== "add") return null
  for (const [product, other] of [value.inputs, [...value.inputs].reverse()]) {
    if (!isPrivateMatmul(product, readers) || product.op.residual) continue
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
