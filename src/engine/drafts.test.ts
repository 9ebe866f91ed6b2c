import { expect, it } from "vitest"
import { Drafts } from "./drafts.js"

/** Tells drafts of a text token by token. */
function watching(tokens: readonly number[]): Drafts {
  const drafts = new Drafts()
  for (let n = 1; n <= tokens.length; n++) drafts.watch(tokens.slice(0, n))
  return drafts
}

const looping = Array.from({ length: 200 }, (_, i) => i % 7)
const fresh = Array.from({ length: 200 }, (_, i) => i)

it("guesses what came after the last three tokens the last time they stood there", () => {
  const drafts = new Drafts()
  expect(drafts.next([1, 2, 3, 4, 5, 6, 1, 2, 3])).toEqual([4, 5, 6])
  expect(drafts.next([1, 2, 3, 4, 5, 6, 1, 2, 3, 9])).toEqual([])
  expect(drafts.next([1, 2, 3, 4, 5, 6, 1, 2, 3, 9, 1, 2, 3])).toEqual([9, 1, 2])
  expect(drafts.next([1, 2])).toEqual([])
})

it("is worth a step that takes less than what comes true gains, and nothing in a text without repetition", () => {
  expect(watching(looping).areWorth(1.5)).toBe(true)
  expect(watching(looping).areWorth(4)).toBe(false)
  expect(watching(fresh).areWorth(1.1)).toBe(false)
})

it("is given up when guesses no longer come true", () => {
  const drafts = watching(looping)
  expect(drafts.areWorth(1.5)).toBe(true)
  const text = [...looping]
  for (let i = 0; i < 200; i++) {
    text.push(1000 + i)
    drafts.watch(text)
  }
  expect(drafts.areWorth(1.5)).toBe(false)
})
