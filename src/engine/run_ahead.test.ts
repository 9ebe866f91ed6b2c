import fc from "fast-check"
import { expect, it } from "vitest"
import { runAhead } from "./run_ahead.js"

const later = () => new Promise<void>((resolve) => setTimeout(resolve))

it("yields all results in order, never more than depth under way, and none when it ends", async () => {
  const setting = [fc.integer({ min: 1, max: 6 }), fc.nat({ max: 20 }), fc.nat({ max: 20 })] as const
  await fc.assert(
    fc.asyncProperty(...setting, async (depth, count, leave) => {
      let underWay = 0
      let most = 0
      const seen: number[] = []
      const results = runAhead(depth, count, async (i) => {
        most = Math.max(most, ++underWay)
        const end = () => {
          underWay--
          return i
        }
        return { result: later().then(end) }
      })
      for await (const i of results) if (seen.push(i) === leave) break
      const expected = leave === 0 ? count : Math.min(leave, count)
      expect(seen).toEqual(Array.from({ length: expected }, (_, i) => i))
      expect(most).toBe(Math.min(depth, count))
      expect(underWay).toBe(0)
    }),
    { numRuns: 50 },
  )
})

it("tells a failure in its turn, even if it came while the consumer was busy", async () => {
  const results = runAhead(3, 9, async (i) => ({
    result: i === 2 ? Promise.reject(new Error("lost")) : Promise.resolve(i),
  }))
  expect((await results.next()).value).toBe(0)
  // An unhandled rejection here would fail the run.
  await later()
  expect((await results.next()).value).toBe(1)
  await expect(results.next()).rejects.toThrow("lost")
})

it("tells a failed submission after what was submitted before it, and submits nothing more", async () => {
  const submitted: number[] = []
  const results = runAhead(4, 9, async (i) => {
    submitted.push(i)
    if (i === 2) throw new Error("full")
    return { result: later().then(() => i) }
  })
  expect((await results.next()).value).toBe(0)
  expect((await results.next()).value).toBe(1)
  await expect(results.next()).rejects.toThrow("full")
  expect(submitted).toEqual([0, 1, 2])
})
