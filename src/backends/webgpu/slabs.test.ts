import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { bytesTaken } from "./buffers.js"
import { planSlabs, SLAB_BYTES } from "./slabs.js"

const MIB = 2 ** 20
const ALIGNMENT = 256

/** Sizes of every kind that checkpoints have, also several of one kind, and just above and below what halves a slab. */
const sizes = fc.array(
  fc.tuple(
    fc.oneof(
      fc.integer({ min: 0, max: 4096 }),
      fc.integer({ min: 1, max: 64 * MIB }),
      fc.integer({ min: 500 * MIB, max: 550 * MIB }),
      fc.integer({ min: SLAB_BYTES - 4096, max: SLAB_BYTES + 4096 }),
      fc.integer({ min: 1, max: 4 * SLAB_BYTES }),
    ),
    fc.integer({ min: 1, max: 20 }),
  ),
  { minLength: 1, maxLength: 40 },
)
const spread = (mix: readonly (readonly [number, number])[]) =>
  mix.flatMap(([size, n]) => new Array<number>(n).fill(size))
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

describe("slabs", () => {
  it("hold everything apart, aligned, and none is larger than a binding but for what no binding holds", () => {
    fc.assert(
      fc.property(sizes, fc.constantFrom(ALIGNMENT, 64 * MIB, 128 * MIB, SLAB_BYTES), (mix, largest) => {
        const byteLengths = spread(mix)
        const plan = planSlabs(byteLengths, { alignment: ALIGNMENT, largest })
        const ends = plan.sizes.map(() => 0)
        for (const [i, { slab, offset }] of plan.places.entries()) {
          // In order: an item begins where those before it end.
          expect(offset).toBeGreaterThanOrEqual(ends[slab])
          expect(offset % ALIGNMENT).toBe(0)
          ends[slab] = offset + byteLengths[i]
        }
        for (const [slab, size] of plan.sizes.entries()) {
          expect(ends[slab]).toBeLessThanOrEqual(size)
          const tenants = plan.places.filter((place) => place.slab === slab)
          expect(tenants.length).toBeGreaterThan(0)
          if (tenants.length > 1) expect(size).toBeLessThanOrEqual(largest)
        }
      }),
    )
  })

  it("lose at most 3 % of what lies in them, beside an alignment for each item and 4 MiB", () => {
    fc.assert(
      fc.property(sizes, (mix) => {
        const byteLengths = spread(mix)
        const { sizes } = planSlabs(byteLengths, { alignment: ALIGNMENT, largest: SLAB_BYTES })
        const payload = sum(byteLengths)
        const aligned = payload + ALIGNMENT * byteLengths.length
        expect(sum(sizes)).toBeLessThanOrEqual(aligned)
        // And with what the driver adds to each.
        expect(sum(sizes.map(bytesTaken))).toBeLessThanOrEqual(1.03 * payload + aligned - payload + 4 * MIB)
      }),
    )
  })

  it("are few: two neighbours are never small enough for one", () => {
    fc.assert(
      fc.property(sizes, (mix) => {
        const { sizes } = planSlabs(spread(mix), { alignment: ALIGNMENT, largest: SLAB_BYTES })
        const shared = sizes.filter((size) => size <= SLAB_BYTES)
        expect(shared.length).toBeLessThanOrEqual(1 + (2 * sum(shared)) / SLAB_BYTES)
      }),
    )
  })
})
