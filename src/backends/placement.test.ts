import { describe, expect, it } from "vitest"
import * as build from "../graph/build.js"
import type { DType } from "../tensor/dtype.js"
import type { Shape } from "../tensor/shape.js"
import { Storage } from "../tensor/storage.js"
import { autoDevice, ROUND_TRIP, workOf } from "./placement.js"
import { ReferenceBackend } from "./reference/backend.js"

const host = (shape: Shape, dtype: DType = "float32") =>
  build.constant(new Storage("host", dtype, shape, { read: async () => {} }))

describe("the work of a program", () => {
  it("is what elementwise operations read and write", () => {
    const sum = build.apply({ kind: "binary", fn: "add" }, { a: host([10, 100]), b: host([100]) }).y
    expect(workOf({ outputs: [sum] })).toEqual({ bytes: 4 * (1000 + 100 + 1000), written: 4 * 1000, flops: 0 })
  })

  it("is two operations for each multiply-add of a product", () => {
    const product = build.apply(
      { kind: "matmul" },
      { x: host([3, 32]), weight: { quantization: null, weight: host([64, 32]) } },
    ).y
    expect(workOf({ outputs: [product] })).toEqual({
      bytes: 4 * (3 * 32 + 64 * 32 + 3 * 64),
      written: 4 * 3 * 64,
      flops: 2 * 3 * 32 * 64,
    })
  })

  it("counts the chosen experts, not all", () => {
    const weight = { quantization: null, weight: host([8, 64, 32]) }
    const operands = { x: host([1, 32]), ids: host([1, 2], "uint32"), weight }
    const product = build.apply({ kind: "gather_matmul" }, operands).y
    const bytes = 4 * (32 + 2 + 2 * 64 * 32 + 2 * 64)
    expect(workOf({ outputs: [product] })).toEqual({ bytes, written: 4 * 2 * 64, flops: 2 * 2 * 32 * 64 })
  })

  it("counts the rows that are looked up, and those appended", () => {
    const ids = host([3], "uint32")
    const rows = build.apply({ kind: "embedding" }, { ids, weight: { quantization: null, weight: host([1000, 32]) } }).y
    expect(workOf({ outputs: [rows] }).bytes).toBe(4 * (3 + 3 * 32 + 3 * 32))
    const cache = build.state(new Storage("cache", "float32", [500, 2, 16], null))
    const appended = build.apply({ kind: "kv_append" }, { cache, x: host([3, 2, 16]), slots: ids }).cache
    const written = 4 * 3 * 32
    expect(workOf({ outputs: [], effects: [appended] })).toMatchObject({ bytes: 2 * written + 4 * 3, written })
  })

  it("ends attention at its window", () => {
    const attention = (window: number | null) => {
      const cache = host([400, 2, 16])
      const ids = host([1], "uint32")
      const seen = { positions: ids, sequences: ids, tables: host([2, 25], "uint32") }
      const operands = { q: host([1, 4, 16]), keys: cache, values: cache, ...seen }
      const op = { kind: "attention", scale: 1, window, page_size: 16 } as const
      return workOf({ outputs: [build.apply(op, operands).y] }).flops
    }
    expect(attention(null)).toBe(4 * 64 * 400)
    expect(attention(100)).toBe(4 * 64 * 100)
  })
})

describe("the choice", () => {
  const [small, large] = [new ReferenceBackend(), new ReferenceBackend()]
  const placement = autoDevice({ small, large })
  const negative = (storage: Storage) => ({
    outputs: [build.apply({ kind: "unary", fn: "neg" }, { x: build.constant(storage) }).y],
  })
  const floats = (n: number) => new Storage("floats", "float32", [n], { read: async () => {} })

  it("turns from small to large where a pass takes longer than a round trip", () => {
    // Reading and writing n floats: 8 n bytes, an eighth of that time on the large device.
    const even = Math.floor((ROUND_TRIP * 8) / 7 / 8)
    expect(placement.choose(negative(floats(even)))).toBe(small)
    expect(placement.choose(negative(floats(even + 1)))).toBe(large)
  })

  it("stays with data that is there already", async () => {
    const tiny = floats(4)
    await large.makeResident([tiny])
    expect(placement.choose(negative(tiny))).toBe(large)
    const more = floats(250_000)
    expect(placement.choose(negative(more))).toBe(large)
    await small.makeResident([more])
    expect(placement.choose(negative(more))).toBe(small)
    for (const storage of [tiny, more]) storage.dispose()
  })

  it("goes back to the small device once the data is on both", async () => {
    const tiny = floats(4)
    await large.makeResident([tiny])
    await small.makeResident([tiny])
    expect(placement.choose(negative(tiny))).toBe(small)
    tiny.dispose()
  })
})
