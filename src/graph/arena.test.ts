import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { planArena } from "./arena.js"

const lifetime = fc
  .record({ byteLength: fc.integer({ min: 1, max: 5000 }), first: fc.nat(30), length: fc.nat(10) })
  .map(({ byteLength, first, length }) => ({ byteLength, first, last: first + length }))

describe("planArena", () => {
  it("never overlaps values that are alive together, and stays inside the arena", () => {
    fc.assert(
      fc.property(fc.array(lifetime, { maxLength: 40 }), (lifetimes) => {
        const { offsets, byteLength } = planArena(lifetimes)
        for (const [i, a] of lifetimes.entries()) {
          expect(offsets[i] % 256).toBe(0)
          expect(offsets[i] + a.byteLength).toBeLessThanOrEqual(byteLength)
          for (const [j, b] of lifetimes.entries()) {
            if (i === j || a.last < b.first || b.last < a.first) continue
            const apart = offsets[i] + a.byteLength <= offsets[j] || offsets[j] + b.byteLength <= offsets[i]
            expect(apart).toBe(true)
          }
        }
      }),
    )
  })

  it("reuses memory: a chain of values needs two of them at a time", () => {
    const chain = Array.from({ length: 10 }, (_, i) => ({ byteLength: 1024, first: i, last: i + 1 }))
    expect(planArena(chain).byteLength).toBe(2048)
  })
})
