import { describe, expect, it } from "vitest"
import { begun } from "./begun.js"

const later = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const here = () => new AbortController().signal

/** Yields 0, 1, ...; `ended` tells once its iteration is over. */
function counting(before = async (_i: number) => {}) {
  const state = { ended: false }
  async function* count() {
    try {
      for (let i = 0; i < 5; i++) {
        await before(i)
        yield i
      }
    } finally {
      state.ended = true
    }
  }
  return { state, count }
}

describe("begun", () => {
  it("tells all items", async () => {
    const items: number[] = []
    for await (const item of await begun(counting().count, here())) items.push(item)
    expect(items).toEqual([0, 1, 2, 3, 4])
  })

  it("throws what fails before the first item", async () => {
    const { count } = counting(() => Promise.reject(new Error("no")))
    await expect(begun(count, here())).rejects.toThrow("no")
  })

  it("does not wait for ever: what fails late fails in the iteration", async () => {
    const { count } = counting(async () => {
      await later(20)
      throw new Error("late")
    })
    const items = await begun(count, here(), 1)
    await expect(items.next()).rejects.toThrow("late")
  })

  it.each(["before it reads", "while an item is made", "between items"])(
    "ends when the client leaves %s",
    async (when) => {
      const leaving = new AbortController()
      const told: AbortSignal[] = []
      const { count, state } = counting(async (i) => {
        // As a model does, whose signal it is.
        if (i === 1) await new Promise((_, reject) => told[0].addEventListener("abort", () => reject(told[0].reason)))
      })
      const start = (signal: AbortSignal) => {
        told.push(signal)
        return count()
      }
      const items = await begun(start, leaving.signal)
      if (when !== "before it reads") await items.next()
      if (when === "while an item is made") items.next().catch(() => {})
      leaving.abort()
      await expect.poll(() => state.ended).toBe(true)
    },
  )

  it("ends when its reader does", async () => {
    const { count, state } = counting()
    const items = await begun(count, here())
    await items.return!()
    expect(state.ended).toBe(true)
    expect((await items.next()).done).toBe(true)
  })
})
