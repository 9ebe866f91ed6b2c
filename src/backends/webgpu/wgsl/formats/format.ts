import type { GpuFeatures } from "../../features.js"
import type { Declaration } from "../declaration.js"
import type { ChunkFormat } from "./chunk.js"

/**
 * Everything that kernels know of one format of weights: a file of this folder each. Where a way of reading is null, the
 * kernels that read so do not take the format, and others do.
 */
export interface WeightFormat {
  /** "mxfp4", "affine8", "bfloat16" */
  readonly name: string
  /** Bits of an element. */
  readonly bits: number
  /** Elements that share a scale; null where there are no scales. */
  readonly groupSize: number | null
  /** For kernels that take any size and alignment. Null where elements are numbers of their own. */
  readonly eights: Eights | null
  /** For tiles, in f32 or in f16. */
  octets(element: "f32" | "f16"): Octets | null
  /** For streams of rows, in f32 if it must be exact. */
  chunks(features: GpuFeatures, isExact: boolean): ChunkFormat | null
  /** WGSL (f32) for element `i` of a row without its scale, where a word holds a whole number of them: for columns. */
  readonly single: ((word: (i: string) => string, i: string) => string) | null
}

/** Eight elements of a row, in f32: an `Eight`. */
export interface Eights {
  readonly uses: readonly Declaration[]
  /** WGSL statements that return the elements at `k`, a multiple of 8, of the row at word `row`, without their scale. */
  unscaled(word: (i: string) => string): string
  /** WGSL (vec2f) for two factors that are a group's scale, of what is stored. */
  factors(stored: string): string
}

/** Eight elements in 16, 32, 64 or 128 bits, as an `Octet` of vec4s. */
export interface Octets {
  readonly uses: readonly Declaration[]
  /** Elements come as 0 4 1 5 2 6 3 7: the activations must be staged alike. */
  readonly isPaired: boolean
  /** WGSL (f32) for a group's scale, of what is stored. */
  scale(stored: string): string
  /** WGSL statements that return the octet in some words, given `r.scale` and `r.bias` of its group. */
  decode(words: readonly string[]): string
}

/** Declares `Eight`, eight consecutive elements of a row. */
export const EIGHT: Declaration = {
  text: /* wgsl */ `
struct Eight { lo: vec4f, hi: vec4f }
fn dot8(a: Eight, b: Eight) -> f32 { return dot(a.lo, b.lo) + dot(a.hi, b.hi); }`,
}

/** Declares `Octet`, eight elements of a tile. */
export const octet = (element: "f32" | "f16"): Declaration => ({
  text: `struct Octet { lo: vec4<${element}>, hi: vec4<${element}> }`,
  enable: element === "f16" ? ["f16"] : [],
})

/** WGSL statement that returns two vec4s as an octet of `element`s. */
export function returnOctet(element: "f32" | "f16", lo: string, hi: string): string {
  return `return Octet(vec4<${element}>(${lo}), vec4<${element}>(${hi}));`
}
