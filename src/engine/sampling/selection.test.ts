import fc from "fast-check"
import { expect, it } from "vitest"
import { argmax, massCut, topK } from "./selection.js"

// Few distinct values, so that ties are the rule.
const values = fc
  .array(fc.integer({ min: -4, max: 4 }), { minLength: 1, maxLength: 80 })
  .map((v) => Float32Array.from(v))
const inOrder = (v: Float32Array) => [...v.keys()].sort((a, b) => v[b] - v[a] || a - b)

it("topK gives the front of the full sort", () => {
  fc.assert(
    fc.property(values, fc.integer({ min: 0, max: 90 }), (v, k) => {
      const out = new Uint32Array(90)
      const count = topK(v, k, out)
      expect([...out.subarray(0, count)]).toEqual(inOrder(v).slice(0, k))
    }),
    { numRuns: 1000 },
  )
})

it("massCut finds where the running mass of the full sort reaches the target", () => {
  const share = fc.integer({ min: 1, max: 100 })
  fc.assert(
    fc.property(values, share, fc.infiniteStream(fc.integer({ min: 1, max: 9 })), (v, percent, masses) => {
      const mass = Float64Array.from(v, () => masses.next().value ?? 1)
      const target = (mass.reduce((a, b) => a + b) * percent) / 100
      let sum = 0
      const expected = inOrder(v).find((id) => {
        sum += mass[id]
        return sum >= target
      })
      expect(massCut(v, mass, Uint32Array.from(v.keys()), v.length, target)).toBe(expected)
    }),
    { numRuns: 1000 },
  )
})

it("argmax takes the first of equals and refuses NaN", () => {
  fc.assert(
    fc.property(values, (v) => {
      expect(argmax(v)).toBe(inOrder(v)[0])
    }),
  )
  expect(argmax(Float32Array.from([1, Number.NaN]))).toBe(-1)
})
