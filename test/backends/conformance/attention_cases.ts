import { apply, copy, input, state } from "../../../src/graph/build.js"
import type { Value } from "../../../src/ir/value.js"
import { itemSize } from "../../../src/tensor/dtype.js"
import { encodeFloats, float16ToFloat32, float32ToFloat16 } from "../../../src/tensor/floats.js"
import { sizeOf } from "../../../src/tensor/shape.js"
import { Storage } from "../../../src/tensor/storage.js"
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

export type CacheDType = "float32" | "float16"

/** Keys or values that start as zeros. */
export function cache(capacity: number, heads: number, headDim: number): Value {
  return state(new Storage("cache", "float32", [capacity, heads, headDim], null))
}

/** Consecutive positions from `first` on. */
export function positionsFrom(first: number, count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => first + i)
}

/**
 * The positions of steps of `L` rows each. With `sequences`, rows belong to so many sequences in turn, each a bit further
 * into its text than the one before.
 */
export function feed(L: number, steps: number, sequences?: number) {
  const next = Array.from({ length: sequences ?? 1 }, (_, id) => 2 * id)
  return Array.from({ length: steps }, (_, step) => {
    const ids = Uint32Array.from({ length: L }, (_, l) => (step * L + l) % next.length)
    const positions = ids.map((id) => next[id]++)
    return { positions, sequences: ids }
  })
}

export function kvAppendCases(random: Random, cacheDType: CacheDType = "float32"): Case[] {
  const shapes = [
    { L: 1, capacity: 3, heads: 1, D: 5, first: 0 },
    { L: 4, capacity: 10, heads: 2, D: 8, first: 0 },
    { L: 10, capacity: 10, heads: 2, D: 8, first: 7 },
    { L: 17, capacity: 40, heads: 3, D: 6, first: 131_000 },
    { L: 1, capacity: 5, heads: 2, D: 8, first: 0, sequences: 3 },
    { L: 17, capacity: 7, heads: 1, D: 3, first: 1000, sequences: 4 },
  ]
  return shapes.map(({ L, capacity, heads, D, first, sequences }) => {
    const dims = [...(sequences ? [sequences] : []), capacity, heads, D]
    const before = new Uint8Array(sizeOf(dims) * itemSize(cacheDType))
    encodeFloats(cacheDType, random.floats(sizeOf(dims)), before)
    const appended = apply(
      { kind: "kv_append" },
      {
        cache: state(storageOf("cache", cacheDType, dims, before)),
        x: input("x", [L, heads, D], "float32"),
        positions: input("positions", [L], "uint32"),
        sequences: sequences ? input("sequences", [L], "uint32") : undefined,
      },
    ).cache
    return {
      name: `${L} rows into ${capacity} slots${sequences ? ` of ${sequences} sequences` : ""}`,
      outputs: [copy(appended, "float32")],
      replays: feed(L, 5, sequences).map(({ positions, ...rows }) => ({
        ...rows,
        x: random.floats(L * heads * D),
        positions: positions.map((position) => first + position),
      })),
    }
  })
}

interface AttentionCase {
  readonly L: number
  readonly heads: number
  readonly kv: number
  readonly D: number
  readonly capacity: number
  readonly steps: number
  readonly window: number | null
  readonly sinks: WeightDType | null
  /** Rows of a step belong to so many in turn. */
  readonly sequences?: number
}

const ATTENTION: readonly AttentionCase[] = [
  { L: 1, heads: 4, kv: 2, D: 64, capacity: 40, steps: 40, window: null, sinks: "bfloat16" },
  { L: 1, heads: 8, kv: 1, D: 32, capacity: 12, steps: 30, window: 8, sinks: "float32" },
  { L: 5, heads: 4, kv: 4, D: 16, capacity: 64, steps: 6, window: null, sinks: null },
  { L: 7, heads: 6, kv: 2, D: 64, capacity: 20, steps: 9, window: 9, sinks: "bfloat16" },
  { L: 33, heads: 2, kv: 1, D: 8, capacity: 300, steps: 4, window: 100, sinks: "float16" },
  { L: 3, heads: 2, kv: 1, D: 6, capacity: 9, steps: 3, window: 1, sinks: "bfloat16" },
  // Rings just large enough: window - 1 + L.
  { L: 1, heads: 2, kv: 1, D: 8, capacity: 4, steps: 13, window: 4, sinks: "float32" },
  { L: 7, heads: 3, kv: 3, D: 20, capacity: 15, steps: 6, window: 9, sinks: "bfloat16" },
  { L: 17, heads: 8, kv: 2, D: 64, capacity: 144, steps: 10, window: 128, sinks: "bfloat16" },
  // A window that is never full.
  { L: 3, heads: 5, kv: 1, D: 7, capacity: 50, steps: 4, window: 50, sinks: null },
  { L: 1, heads: 4, kv: 2, D: 64, capacity: 20, steps: 9, window: null, sinks: "bfloat16", sequences: 3 },
  { L: 3, heads: 8, kv: 2, D: 64, capacity: 40, steps: 20, window: null, sinks: null, sequences: 3 },
  { L: 17, heads: 3, kv: 1, D: 20, capacity: 12, steps: 7, window: 8, sinks: "float32", sequences: 5 },
  { L: 70, heads: 2, kv: 2, D: 16, capacity: 64, steps: 4, window: 33, sinks: "bfloat16", sequences: 4 },
]

export function attentionCases(random: Random, cacheDType: CacheDType = "float32"): Case[] {
  // What float16 holds, so that no cache has to round.
  const rounded = (value: number) => float16ToFloat32(float32ToFloat16(value))
  const given = (values: Float32Array) => (cacheDType === "float16" ? values.map(rounded) : values)
  return ATTENTION.map(({ L, heads, kv, D, capacity, steps, window, sinks, sequences }) => {
    const positions = input("positions", [L], "uint32")
    const ids = sequences ? input("sequences", [L], "uint32") : undefined
    const dims = [...(sequences ? [sequences] : []), capacity, kv, D]
    const append = (name: string) => {
      const cache = state(new Storage(name, cacheDType, dims, null))
      return apply({ kind: "kv_append" }, { cache, x: input(name, [L, kv, D], "float32"), positions, sequences: ids })
        .cache
    }
    const operands = {
      q: input("q", [L, heads, D], "float32"),
      keys: append("k"),
      values: append("v"),
      positions,
      sinks: sinks ? floats(random, [heads], sinks, 2) : undefined,
      sequences: ids,
    }
    const of = `${L} rows, ${heads}/${kv} heads of ${D}, window ${window}, capacity ${capacity}`
    return {
      name: sequences ? `${of}, ${sequences} sequences` : of,
      outputs: [apply({ kind: "attention", scale: D ** -0.5, window }, operands).y],
      replays: feed(L, steps, sequences).map((rows) => ({
        ...rows,
        q: given(random.floats(L * heads * D, 4)),
        k: given(random.floats(L * kv * D, 4)),
        v: given(random.floats(L * kv * D)),
      })),
    }
  })
}
