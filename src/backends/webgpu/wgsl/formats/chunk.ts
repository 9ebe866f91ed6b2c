import type { Accessor } from "../../dispatch.js"
import type { Declaration } from "../declaration.js"
import { range } from "../range.js"

/** Activations are staged in units of 8 elements. */
export const UNIT = 8

/**
 * How 16 bytes of a weight row, a chunk, are multiplied with activations staged in workgroup memory. A chunk's
 * activations take `stride` vectors, the last of them a pad against bank conflicts.
 */
export interface ChunkFormat {
  readonly name: string
  /** Elements in 16 bytes. */
  readonly elements: number
  /** Workgroup vectors per chunk of activations, the pad included. */
  readonly stride: number
  /** Element type of the staged activations. */
  readonly staged: "vec4<u32>" | "vec4<f32>"
  /** What all the texts below call. */
  readonly uses: readonly Declaration[]
  /** WGSL that stores unit `u` of activations, given as `v0` and `v1` (vec4<f32>), into `xs`; a row's vectors start at `base`. */
  stage(u: string): string
  /** WGSL that loads the activations of a chunk at vector `at` of `xs` into registers with the given prefix. */
  load(prefix: string, at: string): string
  /** WGSL statements that decode the chunk `w` (vec4<u32>) into registers with the given prefix. */
  decode(prefix: string, w: string): string
  /** WGSL expression (f32) for the product of a decoded chunk and loaded activations, with scales `s`. */
  dot(weight: string, x: string, s: string): string
  /** WGSL type of the scales of a chunk. */
  readonly scaleType: "vec2f" | "u32"
  /** WGSL expression for what `dot` takes as scales of a chunk; rows are given as the index of their first element. */
  scales(weights: GroupAccessors, scaleRow: string, biasRow: string, chunk: string): string
}

/** What groups of elements share. */
export interface GroupAccessors {
  readonly scales?: Accessor
  readonly biases?: Accessor
}

/** Vector of the staged activations that holds elements `4v` to `4v + 3` of unit `u`. */
function vectorOf(u: string, v: number, { elements, stride }: { elements: number; stride: number }): string {
  if (elements < UNIT) {
    const perUnit = UNIT / elements
    return `(${u}) * ${perUnit * stride}u + ${Math.floor((4 * v) / elements) * stride + (v % (elements / 4))}u`
  }
  const units = elements / UNIT
  return `((${u}) / ${units}u) * ${stride}u + ((${u}) % ${units}u) * ${UNIT / 4}u + ${v}u`
}

/** `ChunkFormat.stage` of formats that keep activations as float32. */
export const stageFloats = (layout: { elements: number; stride: number }) => (u: string) =>
  range(UNIT / 4)
    .map((v) => `xs[base + ${vectorOf(u, v, layout)}] = v${v};`)
    .join("\n")

/** `ChunkFormat.load` of so many vectors. */
export const loadVectors = (vectors: number) => (prefix: string, at: string) =>
  range(vectors)
    .map((i) => `let ${prefix}${i} = xs[${at} + ${i}u];`)
    .join("\n")

/** WGSL for the product of so many decoded vectors with those of activations. */
export function dotVectors(vectors: number, w: string, x: string): string {
  return range(vectors)
    .map((i) => `dot(${w}${i}, ${x}${i})`)
    .join(" + ")
}

/** WGSL that combines a variable with those of the neighbours that stage the same chunk. */
export function neighbours(count: number, name: string, combine: "max" | "sum"): string {
  return range(Math.log2(count))
    .map((bit) => `subgroupShuffleXor(${name}, ${2 ** bit}u)`)
    .map((other) => `${name} = ${combine === "max" ? `max(${name}, ${other})` : `${name} + ${other}`};`)
    .join("\n")
}

/**
 * WGSL (vec2<f16>) for the sum of products of pairs of f16, given in fours: in two chains, as each waits for its own sums
 * alone.
 */
export function sumPairs(fours: readonly (readonly (readonly [a: string, b: string])[])[]): string {
  const chain = (some: typeof fours) =>
    some.flat().reduce((sum, [a, b]) => (sum ? `fma(${a}, ${b}, ${sum})` : `${a} * ${b}`), "")
  return `${chain(fours.slice(0, 2))} + ${chain(fours.slice(2))}`
}

export const COMPONENTS = ["x", "y", "z", "w"]

/** How elements of 4 or 8 bits that have scales of two factors are streamed in f32; a chunk lies in one group. */
export function scaledChunks(of: {
  readonly name: string
  readonly bits: 4 | 8
  readonly groupSize: number
  readonly uses: readonly Declaration[]
  /** WGSL (vec4f) for four elements: those of a word, or in the low half of it. */
  four(word: string): string
  /** On every element. */
  readonly factor: number
  /** WGSL (vec2f), see `Eights.factors`. */
  factors(stored: string): string
}): ChunkFormat {
  const { name, bits, groupSize, uses, four, factor, factors } = of
  const elements = 128 / bits
  const vectors = elements / 4
  const perWord = vectors / 4
  const chunksPerGroup = groupSize / elements
  return {
    name,
    elements,
    stride: vectors + 1,
    staged: "vec4<f32>",
    uses,
    stage: stageFloats({ elements, stride: vectors + 1 }),
    load: loadVectors(vectors),
    decode: (p, w) =>
      range(vectors)
        .map((i) => `${w}.${COMPONENTS[Math.floor(i / perWord)]}${i % perWord ? " >> 16u" : ""}`)
        .map((word, i) => `let ${p}${i} = ${four(word)};`)
        .join("\n"),
    dot: (w, x, s) => `(${dotVectors(vectors, w, x)})${factor === 1 ? "" : ` * ${factor}`} * ${s}.x * ${s}.y`,
    scaleType: "vec2f",
    scales: ({ scales }, row, _, chunk) =>
      factors(scales!.load(`${row} + ${chunksPerGroup === 1 ? chunk : `(${chunk}) / ${chunksPerGroup}u`}`)),
  }
}
