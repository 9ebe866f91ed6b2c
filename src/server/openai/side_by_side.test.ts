import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { sideBySide } from "./side_by_side.js"

describe("iterations side by side", () => {
  it("give all of their items, each one's in order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(fc.nat(3))), async (rows) => {
        const iterables = rows.map(async function* (waits) {
          for (const [i, wait] of waits.entries()) {
            for (let k = 0; k < wait; k++) await null
            yield i
          }
        })
        const items: number[][] = rows.map(() => [])
        for await (const [i, item] of sideBySide(iterables)) items[i].push(item)
        expect(items).toEqual(rows.map((waits) => waits.map((_, i) => i)))
      }),
    )
  })

  it("wait for none that has more to say than the others", async () => {
    const endless = async function* () {
      for (;;) yield "again"
    }
    const short = async function* () {
      yield "once"
    }
    let before = 0
    for await (const [, item] of sideBySide<string>([endless(), endless(), short()])) {
      if (item === "once") break
      before++
    }
    expect(before).toBeLessThan(10)
  })

  it("all end when one fails or nobody listens", async () => {
    let ended = 0
    const endless = async function* () {
      try {
        for (;;) yield await new Promise<number>((resolve) => setImmediate(resolve, 1))
      } finally {
        ended++
      }
    }
    const failing = async function* (): AsyncGenerator<number> {
      yield 1
      throw new Error("no more")
    }
    for await (const _ of sideBySide([endless(), endless()])) break
    expect(ended).toBe(2)
    const all = async () => {
      let items = 0
      for await (const _ of sideBySide([endless(), failing()])) items++
      return items
    }
    await expect(all()).rejects.toThrow("no more")
    expect(ended).toBe(3)
  })
})
