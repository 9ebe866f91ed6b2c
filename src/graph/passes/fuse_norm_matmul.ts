import { last } from "../../ir/expect.js"
import { componentsOf } from "../../ir/operands.js"
import { isNode, isView, type Node, type NodeOf, producer, type Value } from "../../ir/value.js"
import { apply, slice } from "../build.js"
import type { Pass, Readers } from "../rewrite.js"

/** An `rms_norm` that only matmuls read, and those matmuls (q, k and v; the head), become one: the products side by side. */
export const fuseNormMatmul: Pass = {
  name: "fuse_norm_matmul",
  makes: "norm_matmul",
  rule: () => {
    const products = new Map<Node, Value>() // by norm
    return (node, readers) => {
      if (!isNode(node, "matmul")) return null
      const norm = producer(node.operands.x, "rms_norm")
      if (!norm) return "its rows are not those of a norm"
      const matmuls = productsOf(norm, readers)
      if (typeof matmuls === "string") return matmuls
      let product = products.get(norm)
      if (!product) {
        const { x, weight } = norm.operands
        const weights = matmuls.map(({ operands }) => operands.weight)
        product = apply({ kind: "norm_matmul", eps: norm.op.eps }, { x, norm: weight, weights }).y
        products.set(norm, product)
      }
      const { y } = node.results
      if (matmuls.length === 1) return new Map([[y, product]])
      // Constants are never rewritten: they tell which of the matmuls this is.
      const own = componentsOf(node.operands.weight)
      const index = matmuls.findIndex(({ operands }) => {
        const components = componentsOf(operands.weight)
        return components.length === own.length && components.every((component, i) => component === own[i])
      })
      const start = matmuls.slice(0, index).reduce((sum, { results }) => sum + last(results.y.shape), 0)
      return new Map([[y, slice(product, [0, start], [y.shape[0], start + last(y.shape)])]])
    }
  },
}

/** The matmuls of a norm, if nothing else reads it; else the reason why not. */
function productsOf(norm: NodeOf<"rms_norm">, readers: Readers): readonly NodeOf<"matmul">[] | string {
  const { y } = norm.results
  if (y.shape.length !== 2) return "the norm is not of rows"
  const products: NodeOf<"matmul">[] = []
  for (const reader of readers.get(y)!) {
    if (typeof reader === "string") return `the norm is an ${reader}, too`
    if (!isNode(reader, "matmul")) return `the norm is read by ${reader.op.kind} too`
    if (reader.operands.residual) return "one of the norm's products adds a residual"
    if (!componentsOf(reader.operands.weight).every(isConstant))
      return "one of the norm's products has a computed weight"
    products.push(reader)
  }
  return products
}

function isConstant({ node }: Value): boolean {
  return node.op.kind === "constant" || (isView(node) && isConstant(node.inputs[0]))
}
