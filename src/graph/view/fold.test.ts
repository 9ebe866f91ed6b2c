import fc from "fast-check"
import { expect, it } from "vitest"
import { type Fold, fold } from "./fold.js"

const own = (item: string) => item
const unfold = (folds: readonly Fold<string>[]) =>
  folds.flatMap(({ times, items }) => Array.from({ length: times }, () => items).flat())
const shown = (text: string) => fold([...text], own).map(({ times, items }) => `${times}x${items.join("")}`)

it("folds layers, pairs of alternating layers, and nothing else", () => {
  expect(shown("eabcabcabcn")).toEqual(["1xe", "3xabc", "1xn"])
  expect(shown("eabcabdabcabdabcabdn")).toEqual(["1xe", "3xabcabd", "1xn"])
  expect(shown("eaabaabaabn")).toEqual(["1xe", "3xaab", "1xn"])
  expect(shown("eabcdn")).toEqual(["1xeabcdn"])
  expect(shown("eaan")).toEqual(["1xeaan"])
  expect(shown("abababcdcdcd")).toEqual(["3xab", "3xcd"])
  expect(shown("")).toEqual([])
})

it("unfolds to what was folded, in units that repeat", () => {
  const items = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 40 })
  fc.assert(
    fc.property(items, fc.integer({ min: 1, max: 9 }), (items, times) => {
      const all = Array.from({ length: times }, () => items).flat()
      const folds = fold(all, own)
      expect(unfold(folds)).toEqual(all)
      const drawn = folds.reduce((sum, { items }) => sum + items.length, 0)
      if (items.length >= 4) expect(drawn).toBeLessThanOrEqual(items.length)
    }),
  )
})
