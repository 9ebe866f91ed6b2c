import fc from "fast-check"
import { expect, it } from "vitest"
import { RotatingCache } from "./rotating_cache.js"

// A query that sees nothing (position 0, a window of 1) is left out: starting anew costs nothing there.
it("resumes exactly where every slot a query sees still holds its own position", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 64 }),
      fc.integer({ min: 1, max: 64 }),
      fc.nat(2000),
      fc.integer({ min: 1, max: 2000 }),
      fc.nat(2000),
      (window, rows, written, length, more) => {
        const maxLength = Math.max(1, written) + more
        const cache = new RotatingCache({ num_key_value_heads: 1, head_dim: 2 }, window, rows, maxLength)
        const [capacity] = cache.states[0].shape
        expect(capacity).toBeLessThanOrEqual(maxLength)
        cache.advance(written)
        const slots = new Map<number, number>()
        for (let position = 0; position < written; position++) slots.set(position % capacity, position)
        const seen = Array.from(
          { length: Math.max(0, length - Math.max(0, length - window + 1)) },
          (_, i) => length - 1 - i,
        )
        const isThere = length <= written && seen.every((position) => slots.get(position % capacity) === position)
        expect(cache.canResumeAt(length)).toBe(isThere)
      },
    ),
  )
})
