import { itemSize, type DType } from "../tensor/dtype.js"
import { packedRowBytes } from "../tensor/quantization.js"
import type { KvFormat } from "../tensor/kv_format.js"
import { type Dim, type Dims, fixed, formatDims, formatOther } from "./dim.js"
import { GraphError } from "./graph_error.js"
import type { Type, WeightOf } from "./type.js"

/** The last dimension, which every kernel has to know. @throws GraphError */
export function last(dims: Dims): number {
  if (dims.length === 0) throw new GraphError("a last dimension is needed, found a scalar, []")
  return fixed(dims[dims.length - 1], "the last dimension")
}

/** @param shape -1 stands for any dimension @throws GraphError */
export function expectType(what: string, value: Type, shape: Dims, dtype?: DType): void {
  const fits =
    shape.length === value.shape.length && shape.every((dim, axis) => dim === -1 || dim === value.shape[axis])
  if (fits && (!dtype || value.dtype === dtype)) return
  const wanted = `${dtype ?? "any dtype"} ${formatDims(shape).replaceAll("-1", "?")}`
  throw new GraphError(`${what} must be ${wanted}, found ${value.dtype} ${formatOther(value.shape, shape)}`)
}

/** Checks a weight against rows `[...lead, N]` of `K` elements; returns N. @throws GraphError */
export function weightRows(kind: string, of: WeightOf<Type>, lead: Dims, size: Dim): number {
  const { quantization, weight, scales, biases, bias } = of
  if (weight.shape.length !== lead.length + 2) {
    throw new GraphError(`${kind}: weight must have ${lead.length + 2} axes, found ${formatDims(weight.shape)}`)
  }
  const K = fixed(size, `${kind}: the length of rows`)
  const N = fixed(weight.shape[lead.length], `${kind}: the rows of a weight`)
  if (!quantization) {
    expectType(`${kind}: weight`, weight, [...lead, N, K])
  } else {
    const words = packedRowBytes(quantization, K) / itemSize(weight.dtype)
    expectType(`${kind}: packed weight`, weight, [...lead, N, words])
    const groups = [...lead, N, K / quantization.group_size]
    expectComponent(kind, "scales", scales, groups)
    if (quantization.mode === "affine") expectComponent(kind, "biases", biases, groups)
  }
  if (bias) expectType(`${kind}: bias`, bias, [...lead, N])
  return N
}

function expectComponent(kind: string, name: string, component: Type | undefined, shape: Dims): void {
  if (!component) throw new GraphError(`${kind}: the weight lacks its ${name}, ${formatDims(shape)}`)
  expectType(`${kind}: ${name}`, component, shape)
}

/**
 * `[slots, heads]` of a cache of vectors of `D` elements: `[slots, heads, D]` float32 or float16, or `[slots, heads, D * bits / 32]`
 * uint32 where they are quantized to 8 or 4 bits. @throws GraphError
 */
export function cacheDims(kind: string, cache: Type, D: number): [slots: number, heads: number] {
  expectType(`${kind}: cache`, cache, [-1, -1, -1])
  if (kvFormatOf(cache, D) === null) {
    throw new GraphError(
      `${kind}: caches of vectors of ${D} are float32, float16, or uint32 of ${D / 4} or ${D / 8} words, found ${cache.dtype} ${formatDims(cache.shape)}`,
    )
  }
  const [slots, heads] = cache.shape
  return [fixed(slots, `${kind}: a cache`), fixed(heads, `${kind}: a cache`)]
}

/** How a cache keeps vectors of `D` elements; null if it cannot. */
export function kvFormatOf({ dtype, shape }: Type, D: number): KvFormat | null {
  const words = last(shape)
  if (dtype === "float32" || dtype === "float16") return words === D ? dtype : null
  if (dtype !== "uint32" || D % 8 !== 0) return null
  return words === D / 4 ? "int8" : words === D / 8 ? "int4" : null
}
