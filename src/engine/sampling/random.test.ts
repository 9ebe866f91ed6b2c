import { expect, it } from "vitest"
import { CounterRandom, threefry2x32 } from "./random.js"

// Known answers of the authors' Random123 library (kat_vectors, threefry2x32, 20 rounds).
it.each([
  [0, 0, 0, 0, 0x6b200159, 0x99ba4efe],
  [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x1cb996fc, 0xbb002be7],
  [0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3, 0xc4923a9c, 0x483df7a0],
])("key %i %i, counter %i %i", (key0, key1, counter0, counter1, word0, word1) => {
  const out = new Uint32Array(2)
  threefry2x32(key0, key1, counter0, counter1, out)
  expect([...out]).toEqual([word0, word1])
})

it("uniform numbers stay in [0, 1) and average a half", () => {
  const random = new CounterRandom(3)
  const numbers = Array.from({ length: 10_000 }, (_, n) => random.uniform(n))
  expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0)
  expect(Math.max(...numbers)).toBeLessThan(1)
  // Five standard deviations of the mean of 10,000 uniform numbers.
  expect(Math.abs(numbers.reduce((a, b) => a + b) / 10_000 - 0.5)).toBeLessThan(5 / Math.sqrt(12 * 10_000))
})
