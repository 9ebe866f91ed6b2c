import { itemSize, type DType } from "../tensor/dtype.js"
import { packedRowBytes } from "../tensor/quantization.js"
import { formatShape, type Shape } from "../tensor/shape.js"
import { GraphError, type Type, type WeightOf } from "./type.js"

export const last = (shape: Shape): number => shape[shape.length - 1]

/** @param shape -1 stands for any dimension @throws GraphError */
export function expectType(what: string, value: Type, shape: Shape, dtype?: DType): void {
  const fits =
    shape.length === value.shape.length && shape.every((dim, axis) => dim === -1 || dim === value.shape[axis])
  if (fits && (!dtype || value.dtype === dtype)) return
  const wanted = `${dtype ?? "any dtype"} [${shape.map((dim) => (dim === -1 ? "?" : dim)).join(", ")}]`
  throw new GraphError(`${what} must be ${wanted}, found ${value.dtype} ${formatShape(value.shape)}`)
}

/** Checks a weight against rows `[...lead, N]` of `K` elements; returns N. @throws GraphError */
export function weightRows(kind: string, of: WeightOf<Type>, lead: Shape, K: number): number {
  const { quantization, weight, scales, biases, bias } = of
  if (weight.shape.length !== lead.length + 2) {
    throw new GraphError(`${kind}: weight must have ${lead.length + 2} axes, found ${formatShape(weight.shape)}`)
  }
  const N = weight.shape[lead.length]
  if (!quantization) {
    expectType(`${kind}: weight`, weight, [...lead, N, K])
  } else {
    const words = packedRowBytes(quantization, K) / itemSize(weight.dtype)
    expectType(`${kind}: packed weight`, weight, [...lead, N, words])
    const groups = [...lead, N, K / quantization.group_size]
    expectPart(kind, "scales", scales, groups)
    if (quantization.mode === "affine") expectPart(kind, "biases", biases, groups)
  }
  if (bias) expectType(`${kind}: bias`, bias, [...lead, N])
  return N
}

function expectPart(kind: string, name: string, part: Type | undefined, shape: Shape): void {
  if (!part) throw new GraphError(`${kind}: the weight lacks its ${name}, ${formatShape(shape)}`)
  expectType(`${kind}: ${name}`, part, shape)
}

/** `[capacity, heads, head_dim]` of a cache, after its axis of sequences if there is one. @throws GraphError */
export function cacheDims(kind: string, cache: Type, hasSequences: boolean): Shape {
  expectType(`${kind}: cache`, cache, hasSequences ? [-1, -1, -1, -1] : [-1, -1, -1])
  if (cache.dtype !== "float32" && cache.dtype !== "float16") {
    throw new GraphError(`${kind}: caches are float32 or float16, found ${cache.dtype}`)
  }
  return cache.shape.slice(-3)
}
