import { apply, slice } from "../build.js"
import type { Op, Value } from "../ir.js"
import { isView } from "../ir.js"
import { type Pass, type Readers, rewrite } from "../rewrite.js"

type Matmul = Value & { op: Extract<Op, { kind: "matmul" }> }

/** An `rms_norm` that only matmuls read, and those matmuls (q, k and v; the head), become one: the products side by side. */
export const fuseNormMatmul: Pass = (roots) => {
  const products = new Map<Value, Value>() // by norm
  return rewrite(roots, (value, readers) => {
    const [norm] = value.inputs
    if (value.op.kind !== "matmul" || norm.op.kind !== "rms_norm") return null
    const matmuls = productsOf(norm, readers)
    if (!matmuls) return null
    let product = products.get(norm)
    if (!product) {
      const formats = matmuls.map(({ op }) => op.format)
      const weights = matmuls.flatMap(({ inputs }) => inputs.slice(1))
      product = apply({ kind: "norm_matmul", eps: norm.op.eps, formats }, [...norm.inputs, ...weights])
      products.set(norm, product)
    }
    if (matmuls.length === 1) return product
    // Constants are never rewritten: they tell which of the matmuls this is.
    const [, ...own] = value.inputs
    const index = matmuls.findIndex(({ inputs }) => own.every((operand, i) => operand === inputs[i + 1]))
    const start = matmuls.slice(0, index).reduce((sum, { shape }) => sum + shape[1], 0)
    return slice(product, [0, start], [value.shape[0], start + value.shape[1]])
  })
}

/** The matmuls of a norm, if nothing else reads it. */
function productsOf(norm: Value, readers: Readers): readonly Matmul[] | null {
  const all = readers.get(norm)!
  const isProduct = (reader: (typeof all)[number]): reader is Matmul =>
    typeof reader !== "string" &&
    reader.op.kind === "matmul" &&
    !reader.op.residual &&
    reader.inputs.slice(1).every(isConstant)
  return norm.shape.length === 2 && all.every(isProduct) ? all : null
}

function isConstant(value: Value): boolean {
  return value.op.kind === "constant" || (isView(value) && isConstant(value.inputs[0]))
}
