import { readFileSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { KvFormat } from "./kv_format.js"
import { decodeVector, encodeVector, hadamard, isRotated, kvVectorWords } from "./kv_format.js"

const FORMATS: KvFormat[] = ["float32", "float16", "int8", "int4"]
const PACKED = ["int8", "int4"] as const

function encoded(format: KvFormat, vector: Float32Array): Uint32Array {
  const words = new Uint32Array(kvVectorWords(format, vector.length))
  encodeVector(format, vector, words)
  return words
}

function decoded(format: KvFormat, words: Uint32Array, size: number): Float32Array {
  const out = new Float32Array(size)
  decodeVector(format, words, out)
  return out
}

const through = (format: KvFormat, vector: Float32Array) => decoded(format, encoded(format, vector), vector.length)
const norm = (x: ArrayLike<number>) => Math.sqrt(Array.from(x).reduce((sum, value) => sum + value * value, 0))
const distance = (a: Float32Array, b: Float32Array) => norm(a.map((value, i) => value - b[i]))

const sizes = fc.integer({ min: 1, max: 20 }).map((eighths) => 8 * eighths)
/** Vectors of any multiple of 8 values up to `largest`, small or spiky or with zeros. */
const vectors = (largest: number) =>
  fc.tuple(sizes, fc.integer({ min: -15, max: 0 })).chain(([size, power]) =>
    fc
      .array(fc.oneof(fc.double({ min: -1, max: 1, noNaN: true }), fc.constantFrom(0, 1, -1)), {
        minLength: size,
        maxLength: size,
      })
      .map((values) => Float32Array.from(values, (value) => value * largest * 2 ** power)),
  )

/** Box and Muller's Gaussians from a linear congruential generator. */
function gaussian(size: number, seed: number): Float32Array {
  let state = seed >>> 0
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
  return Float32Array.from(
    { length: size },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  )
}

describe("formats of cached vectors", () => {
  it("take exactly their bits", () => {
    expect(FORMATS.map((format) => kvVectorWords(format, 64))).toEqual([64, 32, 16, 8])
    expect(FORMATS.map(isRotated)).toEqual([false, false, true, true])
    for (const size of [0, -8, 4, 60, 7.5]) expect(() => kvVectorWords("int4", size)).toThrow(/multiple of 8/)
    expect(() => encodeVector("int4", new Float32Array(64), new Uint32Array(9))).toThrow(/8 words/)
    expect(() => decodeVector("int8", new Uint32Array(15), new Float32Array(64))).toThrow(/16 words/)
  })

  interface Case {
    bits: 4 | 8
    values: number[]
    words: number[]
    decoded: number[]
  }
  const cases: Case[] = JSON.parse(
    readFileSync(new URL("../../../test/tensor/fixtures/kv_vectors.json", import.meta.url), "utf8"),
  )
  it.each(cases.map((c) => [c.bits, c.values.length, c] as const))(
    "agree with torch: %i bits, %i values",
    (bits, _, c) => {
      const words = encoded(`int${bits}`, Float32Array.from(c.values))
      expect([...words]).toEqual(c.words)
      expect([...decoded(`int${bits}`, words, c.values.length)]).toEqual([...Float32Array.from(c.decoded)])
    },
  )

  it.each([
    ["int4", 0.0084],
    ["int8", 5e-5],
  ] as const)("%s keeps Gaussian vectors", (format, bound) => {
    const errors = Array.from({ length: 200 }, (_, seed) => {
      const x = gaussian(64, seed)
      return (distance(through(format, x), x) / norm(x)) ** 2
    })
    const mean = errors.reduce((a, b) => a + b) / errors.length
    expect(mean).toBeLessThan(bound)
    expect(mean).toBeGreaterThan(bound / 2)
  })

  it("errs by no more than steps of the whole range, whatever the vector", () => {
    fc.assert(
      fc.property(fc.oneof(vectors(60000), vectors(1e-4), vectors(1e-6)), (x) => {
        const largest = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
        // Half a step for every value and, for one of each eight columns, a whole one; scales round up by an eighth at most.
        const bound = (halfStep: number) => 1.125 * largest * halfStep * Math.sqrt(x.length + 8 * 3) * (1 + 1e-6)
        // Below the least scale's range a vector may become zeros.
        const least = (range: number) => (largest < range ? Math.hypot(...x) * (1 + 1e-6) : 0)
        const int8 = Math.max(bound(0.5 / 127), least(127 * 2 ** -21.8))
        expect(distance(through("int8", x), x)).toBeLessThanOrEqual(int8)
        const int4 = Math.max(bound(1064 / 10125), least(10125 * 2 ** -28.8))
        expect(distance(through("int4", x), x)).toBeLessThanOrEqual(int4)
        for (const [i, value] of through("float16", x).entries()) {
          expect(Math.abs(value - x[i])).toBeLessThanOrEqual(Math.abs(x[i]) * 2 ** -11 + 2 ** -25)
        }
        expect(through("float32", x)).toEqual(x)
      }),
    )
  })

  it("writes what was read as the same words", () => {
    fc.assert(
      fc.property(vectors(60000), (x) => {
        for (const format of ["float32", "float16", "int8"] as const) {
          const words = encoded(format, x)
          expect(encoded(format, decoded(format, words, x.length))).toEqual(words)
        }
      }),
    )
    for (let seed = 0; seed < 200; seed++) {
      const words = encoded("int4", gaussian(64, seed))
      expect(encoded("int4", decoded("int4", words, 64))).toEqual(words)
    }
  })

  it("reads zeroed memory as zeros, and writes zeros and all but zeros so", () => {
    fc.assert(
      fc.property(sizes, fc.constantFrom(...FORMATS), fc.constantFrom(0, 1e-30, -1e-40), (size, format, tiny) => {
        expect(through(format, new Float32Array(size).fill(tiny)).every((value) => Math.abs(value) <= 2e-30)).toBe(true)
        expect(decoded(format, new Uint32Array(kvVectorWords(format, size)), size).every((value) => value === 0)).toBe(
          true,
        )
      }),
    )
  })

  it("turns a vector with a value that is not finite, or is far too large, to NaNs", () => {
    const bad = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38, -1e6)
    fc.assert(
      fc.property(vectors(1000), fc.nat(), bad, fc.constantFrom(...PACKED), (x, at, value, format) => {
        x[at % x.length] = value
        expect(through(format, x).every(Number.isNaN)).toBe(true)
      }),
    )
  })

  it("has levels that rise with the code, alike on both sides of zero", () => {
    // Codes 0 to 15 in column 0 of sixteen rows; a seventeenth row turns every parity to that of scale code 128.
    const words = Uint32Array.from({ length: 17 }, (_, row) => (row < 16 ? row : 0x10000000))
    const all = decoded("int4", words, 17 * 8)
    const levels = Array.from({ length: 16 }, (_, row) => all[8 * row])
    for (let code = 0; code < 16; code++) {
      const c = 2 * code - 15
      expect(levels[code]).toBe(c * (450 + c * c) * 2 ** -13)
      expect(levels[code]).toBe(-levels[15 - code])
      if (code) expect(levels[code]).toBeGreaterThan(levels[code - 1])
    }
  })
})

describe("hadamard", () => {
  it("is its own inverse and keeps dot products", () => {
    fc.assert(
      fc.property(vectors(1), (x) => {
        const y = gaussian(x.length, x.length)
        const [rotatedX, rotatedY] = [x.slice(), y.slice()]
        hadamard(rotatedX)
        hadamard(rotatedY)
        const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i], 0)
        expect(Math.abs(dot(rotatedX, rotatedY) - dot(x, y))).toBeLessThanOrEqual(1e-5 * norm(x) * norm(y))
        hadamard(rotatedX)
        expect(distance(rotatedX, x)).toBeLessThanOrEqual(1e-6 * norm(x))
      }),
    )
  })

  it("is Sylvester's matrix, in blocks where the size is no power of two", () => {
    for (const [size, block] of [
      [64, 64],
      [80, 16],
      [24, 8],
    ]) {
      for (const at of [0, 5, size - 1]) {
        const x = new Float32Array(size)
        x[at] = 1
        hadamard(x)
        const sign = (i: number) => ((i & at & (block - 1)).toString(2).split("1").length % 2 === 1 ? 1 : -1)
        const inBlock = (i: number) => Math.floor(i / block) === Math.floor(at / block)
        const row = Float32Array.from({ length: size }, (_, i) => (inBlock(i) ? sign(i) / Math.sqrt(block) : 0))
        expect(distance(x, row)).toBeLessThan(1e-6)
      }
    }
  })
})
