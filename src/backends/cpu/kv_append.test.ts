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

/** Values of all sizes that float32 has, and some that lie in the middle between two levels. */
const values = fc.oneof(
  fc.float({ min: -1, max: 1, noNaN: true }),
  fc.tuple(fc.integer({ min: -254, max: 254 }), fc.constantFrom(0.5, 1, 457, 938)).map(([a, b]) => a * b),
  fc.constantFrom(0, -0, 1, -1),
)
const odd = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, 1e-30, 1e-45, 3e38, 70_000, 120_000)

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
      fc.array(values, { minLength: size, maxLength: size }),
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
