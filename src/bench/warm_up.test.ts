import { afterEach, expect, it, vi } from "vitest"
import { warmUp } from "./warm_up.js"

afterEach(() => vi.restoreAllMocks())

it.each([
  ["until clocks have risen, not counting the run that compiles", 600, 4],
  ["twice where one run takes as long", 5000, 2],
  ["once where one run takes far longer", 20_000, 1],
])("runs %s", async (_, ms, times) => {
  let now = 0
  vi.spyOn(performance, "now").mockImplementation(() => now)
  let runs = 0
  await warmUp(async () => {
    runs++
    now += ms
  })
  expect(runs).toBe(times)
})
