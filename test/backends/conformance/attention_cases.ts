import { apply, copy, input, state } from "../../../src/graph/build.js"
import type { Value } from "../../../src/ir/value.js"
import { itemSize } from "../../../src/tensor/dtype.js"
import { encodeFloats, float16ToFloat32, float32ToFloat16 } from "../../../src/tensor/floats.js"
import { encodeVector, isRotated, type KvFormat, kvVectorWords } from "../../../src/tensor/kv_format.js"
import { Storage } from "../../../src/tensor/storage.js"
import { Pages, pagesKept } from "./pages.js"
import { exactly, floats, integers, type Random, storageOf, type WeightDType } from "./random.js"
import type { Case } from "./run.js"

export function ropeCases(random: Random): Case[] {
  const shapes = [
    [1, 8, 64],
    [9, 3, 32],
    [33, 2, 6],
    [3, 1, 2],
  ] as const
  return shapes.flatMap(([L, H, D]) =>
    [1, 1.3466].map((scale) => ({
      name: `[${L}, ${H}, ${D}], scale ${scale}`,
      outputs: [
        apply(
          { kind: "rope", scale },
          {
            x: floats(random, [L, H, D]),
            positions: integers(random, [L], 131_072),
            inv_freq: exactly(
              [D / 2],
              Array.from({ length: D / 2 }, (_, i) => 150000 ** ((-2 * i) / D)),
            ),
          },
        ).y,
      ],
    })),
  )
}

/** Keys or values `[slots, heads, D]` that start as zeros. */
export function cacheStorage(name: string, format: KvFormat, [slots, heads, D]: readonly number[]): Storage {
  const [dtype, words] = isRotated(format) ? (["uint32", kvVectorWords(format, D)] as const) : [format, D]
  return new Storage(name, dtype, [slots, heads, words], null)
}

export function cache(name: string, format: KvFormat, dims: readonly number[]): Value {
  return state(cacheStorage(name, format, dims))
}

/** What a cache keeps of random vectors, of elements up to `size`. */
export function kept(random: Random, format: KvFormat, [slots, heads, D]: readonly number[], size = 1): Uint8Array {
  const vectors = random.floats(slots * heads * D, size)
  if (!isRotated(format)) {
    const bytes = new Uint8Array(vectors.length * itemSize(format))
    encodeFloats(format, vectors, bytes)
    return bytes
  }
  const each = kvVectorWords(format, D)
  const words = new Uint32Array(slots * heads * each)
  for (let i = 0; i < slots * heads; i++) {
    encodeVector(format, vectors.subarray(i * D, (i + 1) * D), words.subarray(i * each, (i + 1) * each))
  }
  return new Uint8Array(words.buffer)
}

/** What a cache holds, to be compared: as float32, or in words that are compared as the vectors they stand for. */
function contents(cache: Value, format: KvFormat): Value {
  return copy(cache, isRotated(format) ? "uint32" : "float32")
}

/** Of these shapes, those whose vectors can be quantized: half of them for each number of bits. */
function shapesFor<S extends { readonly D: number }>(format: KvFormat, shapes: readonly S[]): S[] {
  if (!isRotated(format)) return [...shapes]
  return shapes.filter(({ D }) => D % 8 === 0).filter((_, i) => i % 2 === (format === "int8" ? 0 : 1))
}

/** Some order of n things. */
export function shuffled(random: Random, n: number): number[] {
  const order = Array.from({ length: n }, (_, i) => i)
  for (let i = n - 1; i > 0; i--) {
    const j = random.below(i + 1)
    ;[order[i], order[j]] = [order[j], order[i]]
  }
  return order
}

/** Pages in random order, of a size that positions of so many steps of `L` rows fill; those behind a window are used again. */
export function somePages(
  random: Random,
  { L, steps, sequences, page_size, window }: Pick<AttentionCase, "L" | "steps" | "sequences" | "page_size" | "window">,
): Pages {
  const total = Math.ceil((L * steps) / sequences) + 2 * sequences
  const kept = pagesKept(window, Math.ceil(L / sequences) + 1, page_size)
  const count = Math.min(kept ?? Number.POSITIVE_INFINITY, Math.ceil(total / page_size)) * sequences
  return new Pages({ sequences, page_size, total, kept, order: shuffled(random, count) })
}

export function kvAppendCases(random: Random, format: KvFormat = "float32"): Case[] {
  const shapes = [
    { L: 1, slots: 3, heads: 1, D: 5 },
    { L: 4, slots: 10, heads: 2, D: 8 },
    { L: 10, slots: 10, heads: 2, D: 8 },
    { L: 17, slots: 4000, heads: 3, D: 6 },
    { L: 17, slots: 23, heads: 1, D: 3 },
    { L: 5, slots: 40, heads: 2, D: 64 },
    { L: 33, slots: 50, heads: 8, D: 64 },
    { L: 6, slots: 9, heads: 3, D: 80 },
    { L: 3, slots: 5, heads: 2, D: 128 },
  ]
  return shapesFor(format, shapes).map(({ L, slots, heads, D }) => {
    const dims = [slots, heads, D]
    const { dtype, shape } = cacheStorage("cache", format, dims)
    const appended = apply(
      { kind: "kv_append" },
      {
        cache: state(storageOf("cache", dtype, shape, kept(random, format, dims))),
        x: input("x", [L, heads, D], "float32"),
        slots: input("slots", [L], "uint32"),
      },
    ).cache
    return {
      name: `${L} rows of ${heads} heads of ${D} into ${slots} slots`,
      outputs: [contents(appended, format)],
      words: { format, D },
      replays: Array.from({ length: 5 }, () => ({
        x: random.floats(L * heads * D),
        slots: Uint32Array.from(shuffled(random, slots).slice(0, L)),
      })),
    }
  })
}

interface AttentionCase {
  readonly L: number
  readonly heads: number
  readonly kv: number
  readonly D: number
  readonly steps: number
  readonly window: number | null
  readonly sinks: WeightDType | null
  readonly page_size: number
  /** Rows of a step belong to so many in turn. */
  readonly sequences: number
}

const ATTENTION: readonly AttentionCase[] = [
  { L: 1, heads: 4, kv: 2, D: 64, steps: 40, window: null, sinks: "bfloat16", page_size: 16, sequences: 1 },
  { L: 1, heads: 8, kv: 1, D: 32, steps: 30, window: 8, sinks: "float32", page_size: 4, sequences: 1 },
  { L: 5, heads: 4, kv: 4, D: 16, steps: 6, window: null, sinks: null, page_size: 64, sequences: 1 },
  { L: 7, heads: 6, kv: 2, D: 64, steps: 9, window: 9, sinks: "bfloat16", page_size: 8, sequences: 1 },
  { L: 33, heads: 2, kv: 1, D: 8, steps: 4, window: 100, sinks: "float16", page_size: 32, sequences: 1 },
  { L: 3, heads: 2, kv: 1, D: 6, steps: 3, window: 1, sinks: "bfloat16", page_size: 2, sequences: 1 },
  { L: 1, heads: 2, kv: 1, D: 8, steps: 13, window: 4, sinks: "float32", page_size: 1, sequences: 1 },
  { L: 7, heads: 3, kv: 3, D: 20, steps: 6, window: 9, sinks: "bfloat16", page_size: 16, sequences: 1 },
  { L: 17, heads: 8, kv: 2, D: 64, steps: 10, window: 128, sinks: "bfloat16", page_size: 64, sequences: 1 },
  // A window that is never full.
  { L: 3, heads: 5, kv: 1, D: 7, steps: 4, window: 50, sinks: null, page_size: 16, sequences: 1 },
  { L: 1, heads: 4, kv: 2, D: 64, steps: 9, window: null, sinks: "bfloat16", page_size: 16, sequences: 3 },
  { L: 3, heads: 8, kv: 2, D: 64, steps: 20, window: null, sinks: null, page_size: 8, sequences: 3 },
  { L: 17, heads: 3, kv: 1, D: 24, steps: 7, window: 8, sinks: "float32", page_size: 4, sequences: 5 },
  { L: 70, heads: 2, kv: 2, D: 16, steps: 4, window: 33, sinks: "bfloat16", page_size: 64, sequences: 4 },
]

export function attentionCases(random: Random, format: KvFormat = "float32"): Case[] {
  // What float16 holds, so that no cache has to round.
  const rounded = (value: number) => float16ToFloat32(float32ToFloat16(value))
  const given = (values: Float32Array) => (format === "float16" ? values.map(rounded) : values)
  return shapesFor(format, ATTENTION).map((shape) => {
    const { L, heads, kv, D, steps, window, sinks, page_size } = shape
    const pages = somePages(random, shape)
    const { slots, ...seen } = pages.inputs(L)
    const append = (name: string) => {
      const x = input(name, [L, kv, D], "float32")
      return apply({ kind: "kv_append" }, { cache: cache(name, format, [pages.slots, kv, D]), x, slots }).cache
    }
    const operands = {
      q: input("q", [L, heads, D], "float32"),
      keys: append("k"),
      values: append("v"),
      ...seen,
      sinks: sinks ? floats(random, [heads], sinks, 2) : undefined,
    }
    return {
      name: attentionName(shape),
      outputs: [apply({ kind: "attention", scale: D ** -0.5, window, page_size }, operands).y],
      replays: Array.from({ length: steps }, () => ({
        ...pages.feed(L),
        q: given(random.floats(L * heads * D, 4)),
        k: given(random.floats(L * kv * D, 4)),
        v: given(random.floats(L * kv * D)),
      })),
    }
  })
}

function attentionName({ L, heads, kv, D, window, page_size, sequences }: AttentionCase): string {
  return `${L} rows, ${heads}/${kv} heads of ${D}, window ${window}, pages of ${page_size}, ${sequences} sequences`
}

const ROPE_ATTENTION: readonly AttentionCase[] = [
  { L: 1, heads: 8, kv: 2, D: 64, window: null, sinks: "bfloat16", steps: 70, page_size: 16, sequences: 1 },
  { L: 1, heads: 3, kv: 1, D: 32, window: 8, sinks: "float32", steps: 30, page_size: 4, sequences: 1 },
  { L: 3, heads: 5, kv: 5, D: 6, window: null, sinks: null, steps: 5, page_size: 8, sequences: 1 },
  { L: 17, heads: 8, kv: 1, D: 64, window: 128, sinks: "bfloat16", steps: 10, page_size: 64, sequences: 1 },
  { L: 70, heads: 6, kv: 2, D: 16, window: null, sinks: "float16", steps: 3, page_size: 32, sequences: 1 },
  { L: 1, heads: 2, kv: 1, D: 8, window: 4, sinks: null, steps: 13, page_size: 1, sequences: 1 },
  { L: 17, heads: 6, kv: 3, D: 20, window: 9, sinks: "bfloat16", steps: 6, page_size: 8, sequences: 1 },
  { L: 70, heads: 4, kv: 2, D: 64, window: 128, sinks: "bfloat16", steps: 4, page_size: 64, sequences: 1 },
  { L: 1, heads: 4, kv: 2, D: 64, window: null, sinks: "bfloat16", steps: 9, page_size: 16, sequences: 3 },
  { L: 3, heads: 8, kv: 2, D: 64, window: null, sinks: "bfloat16", steps: 20, page_size: 8, sequences: 3 },
  { L: 17, heads: 3, kv: 1, D: 24, window: 8, sinks: null, steps: 7, page_size: 4, sequences: 5 },
  { L: 70, heads: 2, kv: 2, D: 16, window: 33, sinks: "float32", steps: 4, page_size: 64, sequences: 4 },
]

/** Steps of one text, or of several whose rows stand mixed. The caches are compared as well, as they were left by the step before. */
export function ropeAttentionCases(random: Random, format: KvFormat): Case[] {
  // A step in rounding keys is as many steps in weights as the scores are large.
  const size = format === "float32" ? 3 : 1
  return shapesFor(format, ROPE_ATTENTION).map((shape) => {
    const { L, heads, kv, D, steps, window, sinks, page_size } = shape
    const pages = somePages(random, shape)
    const [keys, values] = ["keys", "values"].map((name) => cacheStorage(name, format, [pages.slots, kv, D]))
    const op = { kind: "rope_attention", rope_scale: 1.3466, scale: D ** -0.5, window, page_size } as const
    const frequencies = Array.from({ length: D / 2 }, (_, i) => 150000 ** ((-2 * i) / D))
    const attended = apply(op, {
      qkv: input("qkv", [L, (heads + 2 * kv) * D], "float32"),
      inv_freq: exactly([D / 2], frequencies),
      keys: state(keys),
      values: state(values),
      ...pages.inputs(L),
      sinks: sinks ? floats(random, [heads], sinks, 2) : undefined,
    }).y
    return {
      name: attentionName(shape),
      outputs: [attended, ...[keys, values].map((cache) => contents(state(cache), format))],
      words: { format, D },
      replays: Array.from({ length: steps }, () => ({
        ...pages.feed(L),
        qkv: random.floats(L * (heads + 2 * kv) * D, size),
      })),
    }
  })
}
