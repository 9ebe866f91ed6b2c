import fc from "fast-check"
import { afterAll, beforeAll, expect, it } from "vitest"
import { apply, input, state } from "../../graph/build.js"
import { lower } from "../../graph/lower.js"
import { encodeVector, hadamard, kvVectorWords } from "../../tensor/kv_format.js"
import { Storage } from "../../tensor/storage.js"
import { CpuBackend } from "./backend.js"
import { loadKernels } from "./node_cpu.js"
import { InlinePool } from "./thread_pool.js"

let backend: CpuBackend
beforeAll(async () => {
  backend = new CpuBackend(new InlinePool(await loadKernels()))
})
afterAll(() => backend.close())

const values = fc.oneof(fc.float({ min: -1, max: 1, noNaN: true }), fc.constantFrom(0, -0, 1, -1))
const odd = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, 1e-30, 1e-45, 3e38, 70_000, 120_000)

const LEVELS = {
  int8: Array.from({ length: 255 }, (_, i) => i - 127),
  int4: Array.from({ length: 16 }, (_, i) => (2 * i - 15) * (450 + (2 * i - 15) ** 2)),
}

/** Levels, and middles between them, where the lower is to be taken: but for those the scale is the one that clips nothing. */
function onGrid(format: "int8" | "int4", size: number): fc.Arbitrary<number[]> {
  const levels = LEVELS[format]
  const some = fc.nat(levels.length - 2).chain((i) => {
    const middle = { arbitrary: fc.constant((levels[i] + levels[i + 1]) / 2), weight: 1 }
    return fc.oneof(middle, { arbitrary: fc.constantFrom(levels[i], levels[levels.length - 1]), weight: 9 })
  })
  return fc.array(some, { minLength: size, maxLength: size }).map((grid) => {
    // Rotated back, so that the backend rotates it there: without rounding where D is a power of 4.
    const x = Float32Array.from(grid)
    hadamard(x)
    return [...x]
  })
}

it.each(["int8", "int4"] as const)("keeps vectors in the bits of the format: %s", async (format) => {
  for (const D of [8, 24, 64, 80, 128]) {
    const words = kvVectorWords(format, D)
    const [rows, heads] = [3, 2]
    const cache = new Storage("cache", "uint32", [rows, heads, words], null)
    const operands = {
      cache: state(cache),
      x: input("x", [rows, heads, D], "float32"),
      slots: input("slots", [rows], "uint32"),
    }
    const append = await backend.compile(
      lower({ outputs: [], effects: [apply({ kind: "kv_append" }, operands).cache] }),
    )
    const size = rows * heads * D
    const given = fc.tuple(
      fc.oneof(
        fc.array(values, { minLength: size, maxLength: size }),
        fc
          .array(onGrid(format, D), { minLength: rows * heads, maxLength: rows * heads })
          .map((vectors) => vectors.flat()),
      ),
      fc.integer({ min: -20, max: 18 }),
      fc.option(fc.tuple(fc.nat(size - 1), odd)),
    )
    await fc.assert(
      fc.asyncProperty(given, async ([numbers, power, special]) => {
        const x = Float32Array.from(numbers, (value) => value * 2 ** power)
        if (special) x[special[0]] = special[1]
        await append.replay({ x, slots: Uint32Array.of(2, 0, 1) })
        const kept = new Uint32Array(rows * heads * words)
        await cache.read(0, new Uint8Array(kept.buffer))
        for (const [row, slot] of [2, 0, 1].entries()) {
          for (let h = 0; h < heads; h++) {
            const vector = x.slice((row * heads + h) * D, (row * heads + h + 1) * D)
            hadamard(vector)
            const expected = new Uint32Array(words)
            encodeVector(format, vector, expected)
            expect(kept.subarray((slot * heads + h) * words, (slot * heads + h + 1) * words)).toEqual(expected)
          }
        }
      }),
      { numRuns: 60 },
    )
  }
})
