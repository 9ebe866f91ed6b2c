import fc from "fast-check"
import { expect, it } from "vitest"
import { kvLayout } from "./kv_layout.js"
import { kvBytes, pageBytes, pagesHeld, pagesNeeded, tokensThatFit } from "./kv_size.js"

const gptOss20b = Array.from({ length: 24 }, (_, layer) => ({
  num_key_value_heads: 8,
  head_dim: 64,
  window: layer % 2 === 0 ? 128 : null,
}))

it("keeps gpt-oss-20b in 60 MB at 8k and 0.9 GB at 128k in 4 bits", () => {
  expect(kvBytes(gptOss20b, { tokens: 8192, chunk: 1024, format: "int4" })).toBeLessThan(60e6)
  expect(kvBytes(gptOss20b, { tokens: 131072, chunk: 2048, format: "int4" })).toBeLessThan(0.9e9)
})

it("counts bytes by hand: 64 positions of 12 layers, keys and values, 8 heads of 64", () => {
  const layout = kvLayout(gptOss20b, 64)
  expect(pageBytes(layout, "float32")).toBe(64 * 12 * 2 * 8 * 64 * 4)
  expect(pageBytes(layout, "float16")).toBe(64 * 12 * 2 * 8 * 64 * 2)
  expect(pageBytes(layout, "int8")).toBe(64 * 12 * 2 * 8 * 64)
  expect(pageBytes(layout, "int4")).toBe((64 * 12 * 2 * 8 * 64) / 2)
  // 128 full pages; decoding sees 128 positions, which lie in at most 3 pages.
  expect(pagesNeeded(layout, 8192, 1)).toBe(131)
  const one = kvBytes(gptOss20b, { tokens: 100, chunk: 1, format: "int8" })
  expect(one).toBe(4 * pageBytes(layout, "int8"))
  expect(kvBytes(gptOss20b, { tokens: 100, chunk: 1, format: "int8", sequences: 3 })).toBe(3 * one)
})

const layouts = fc
  .tuple(
    fc.array(fc.option(fc.integer({ min: 1, max: 20 })), { minLength: 1, maxLength: 5 }),
    fc.integer({ min: 1, max: 9 }),
  )
  .map(([windows, page_size]) =>
    kvLayout(
      windows.map((window) => ({ num_key_value_heads: 1, head_dim: 8, window })),
      page_size,
    ),
  )

it("needs as many pages as the worst way there holds, and no more than one a group above", () => {
  fc.assert(
    fc.property(layouts, fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 40 }), (layout, tokens, chunk) => {
      let most = 0
      for (let length = 0; length < tokens; length++) {
        most = Math.max(most, pagesHeld(layout, length, Math.min(chunk, tokens - length)))
      }
      const needed = pagesNeeded(layout, tokens, chunk)
      expect(needed).toBeGreaterThanOrEqual(most)
      expect(needed).toBeLessThanOrEqual(most + layout.groups.length)
    }),
  )
})

it("finds the longest sequence that fits", () => {
  fc.assert(
    fc.property(layouts, fc.nat(60), fc.integer({ min: 1, max: 40 }), (layout, pages, chunk) => {
      const fits = tokensThatFit(layout, pages, chunk)
      expect(pagesNeeded(layout, fits, chunk)).toBeLessThanOrEqual(pages)
      if (fits !== Number.POSITIVE_INFINITY) expect(pagesNeeded(layout, fits + 1, chunk)).toBeGreaterThan(pages)
    }),
  )
})
