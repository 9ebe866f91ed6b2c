import type { Accessor } from "../../dispatch.js"
import { range } from "../../wgsl/range.js"

/** A format of `tensor/kv_format.ts` that keeps vectors rotated, as codes with a scale hidden in their parities. */
export interface Codes {
  readonly bits: 4 | 8
  readonly lowest: number
  readonly highest: number
  /** The largest level. */
  readonly top: number
  /** Scales go from 2^(exponent - 127). */
  readonly exponent: number
}

export const CODES: { readonly int8: Codes; readonly int4: Codes } = {
  int8: { bits: 8, lowest: -127, highest: 127, top: 127, exponent: 105 },
  int4: { bits: 4, lowest: 0, highest: 15, top: 10125, exponent: 98 },
}

/** WGSL (u32) for the parities of some of a vector's words, an even number of them at 8 bits, from an even one on: in bits 0, 4, ... 28. */
export function parities({ bits }: Codes, words: readonly string[]): string {
  if (bits === 4) return `((${words.join(" ^ ")}) & 0x11111111u)`
  const every = (first: number) => words.filter((_, i) => i % 2 === first).join(" ^ ")
  return `(((${every(0)}) & 0x01010101u) | (((${every(1)}) & 0x01010101u) << 4u))`
}

/** WGSL for `scale_of(parities)` of a whole vector, and for `scale_of_code(code)`. */
export function scaleFunctions({ bits, exponent }: Codes): string {
  const gather =
    bits === 4
      ? `x = (x | (x >> 3u)) & 0x03030303u;
  x = (x | (x >> 6u)) & 0x000f000fu;
  return scale_of_code((x | (x >> 12u)) & 255u);`
      : `x = (x | (x >> 7u)) & 0x00330033u;
  return scale_of_code((x | (x >> 14u)) & 255u);`
  return /* wgsl */ `
fn scale_of_code(code: u32) -> f32 {
  let bits = select((code + ${8 * exponent}u) << 20u, 0u, code == 0u);
  return bitcast<f32>(select(bits, 0x7fc00000u, code == 255u));
}
fn scale_of(parities: u32) -> f32 {
  var x = parities & 0x11111111u;
  ${gather}
}`
}

/** The words of a unit of 8 elements. */
export function wordsOf({ bits }: Codes, unit: string): string[] {
  return bits === 4 ? [unit] : [`${unit}.x`, `${unit}.y`]
}

/** WGSL for function `name(at)`: the parities of vector `at` of a cache, of all its units. */
function parityFunction(codes: Codes, name: string, cache: Accessor, headDim: number): string {
  const units = headDim / 8
  const words = range(units).flatMap((i) => wordsOf(codes, cache.at(`at * ${units}u + ${i}u`)))
  return /* wgsl */ `
fn ${name}(at: u32) -> u32 { return ${parities(codes, words)}; }`
}

/** WGSL for the vectors of 4 levels in a word, not scaled; needs {@link LEVELS}. */
export function levels({ bits }: Codes, word: string): string[] {
  if (bits === 8) {
    const bytes = `vec4u(${word} << 24u, ${word} << 16u, ${word} << 8u, ${word})`
    return [`vec4f(bitcast<vec4i>(${bytes}) >> vec4u(24u))`]
  }
  const four = (shift: number) =>
    `cubic((vec4u(${word}) >> vec4u(${range(4)
      .map((i) => `${shift + 4 * i}u`)
      .join(", ")})) & vec4u(15u))`
  return [four(0), four(16)]
}

export const LEVELS: Readonly<Record<Codes["bits"], string>> = {
  8: "",
  4: /* wgsl */ `
fn cubic(codes: vec4u) -> vec4f {
  let c = 2.0 * vec4f(codes) - 15.0;
  return c * (450.0 + c * c);
}`,
}

/** Levels as pairs of f16. */
export interface HalfLevels {
  /** Levels over those of {@link levels}: so that products with queries stay well within f16. */
  readonly part: number
  /** WGSL function that {@link pair} calls. */
  readonly text: string
  /** The elements of each pair of a word. */
  readonly pairs: readonly (readonly [number, number])[]
  /** WGSL (vec2<f16>) for the `i`-th pair of a word. */
  pair(word: string, i: number): string
}

/** Codes become numbers as the lowest bits of 1024's mantissa. 4 bits' levels are rounded by up to 2^-12 of them. */
export const HALF_LEVELS: Readonly<Record<Codes["bits"], HalfLevels>> = {
  8: {
    part: 1 / 64,
    text: /* wgsl */ `
fn half_levels(bytes: u32) -> vec2<f16> {
  let biased = bitcast<vec2<f16>>(((bytes & 0x00ff00ffu) ^ 0x00800080u) | 0x64006400u);
  return fma(biased, vec2<f16>(0.015625), vec2<f16>(-18.0));
}`,
    pairs: [
      [0, 2],
      [1, 3],
    ],
    pair: (word, i) => `half_levels(${word}${i === 0 ? "" : " >> 8u"})`,
  },
  4: {
    part: 1 / 4096,
    text: /* wgsl */ `
fn half_levels(doubled: u32) -> vec2<f16> {
  let biased = bitcast<vec2<f16>>((doubled & 0x001e001eu) | 0x64006400u);
  let c = fma(biased, vec2<f16>(0.0625), vec2<f16>(-64.9375));
  return c * fma(c, c, vec2<f16>(1.7578125));
}`,
    pairs: range(4).map((i) => [i, i + 4]),
    pair: (word, i) => `half_levels(${word} ${i === 0 ? "<< 1u" : `>> ${4 * i - 1}u`})`,
  },
}

/** WGSL for `key_parities(at)` and `value_parities(at)`, and `scale_of`. */
export function codeFunctions(codes: Codes, v: Readonly<Record<string, Accessor>>, headDim: number): string {
  return [
    scaleFunctions(codes),
    parityFunction(codes, "key_parities", v.keys, headDim),
    parityFunction(codes, "value_parities", v.values, headDim),
  ].join("\n")
}
