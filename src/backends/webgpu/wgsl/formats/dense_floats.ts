import type { DType } from "../../../../tensor/dtype.js"

/** The dtypes of dense weights, norms, scales and biases. */
export type DenseDType = "float32" | "bfloat16" | "float16"

/** WGSL (vec4f) for the four elements in some words (u32): four of float32, else two. */
export function denseFour(dtype: DenseDType, words: readonly string[]): string {
  const [a, b] = words
  if (dtype === "float32") return `bitcast<vec4f>(vec4u(${words.join(", ")}))`
  if (dtype === "float16") return `vec4f(unpack2x16float(${a}), unpack2x16float(${b}))`
  return `bitcast<vec4f>(vec4u(${a} << 16u, ${a} & 0xffff0000u, ${b} << 16u, ${b} & 0xffff0000u))`
}

/** WGSL (f32) for the element whose bits are a word's, or its low half with zeros above. */
export function denseOne(dtype: DenseDType, bits: string): string {
  if (dtype === "float16") return `unpack2x16float(${bits}).x`
  return dtype === "bfloat16" ? `bitcast<f32>(${bits} << 16u)` : `bitcast<f32>(${bits})`
}

export function isDense(dtype: DType): dtype is DenseDType {
  return dtype === "float32" || dtype === "bfloat16" || dtype === "float16"
}
