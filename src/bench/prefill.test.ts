import { afterEach, expect, it, vi } from "vitest"
import type { LanguageModel } from "../engine/model.js"
import { benchPrefill } from "./prefill.js"

afterEach(() => vi.restoreAllMocks())

it("warms up before each length, and times whole prompts on empty caches", async () => {
  let now = 0
  vi.spyOn(performance, "now").mockImplementation(() => now)
  const calls: string[] = []
  // The first run compiles, and does not count as time in which clocks rise.
  const runner = {
    vocab_size: 50,
    reset: () => void calls.push("reset"),
    async forward({ length }: Uint32Array) {
      calls.push(`forward ${length}`)
      now += length * 100 + (calls.length === 2 ? 5000 : 0)
    },
  }
  const model = { runner } as unknown as LanguageModel
  const progress: number[][] = []
  const onProgress = (...at: number[]) => void progress.push(at)
  const results = await benchPrefill(model, { lengths: [5, 20], runs: 2, onProgress })
  const run = (length: number) => ["reset", `forward ${length}`]
  // Four runs of 5 tokens warm up, and two of 20.
  expect(calls).toEqual([5, 5, 5, 5, 5, 5, 20, 20, 20, 20].flatMap(run))
  expect(results.map(({ length, ms, tps }) => [length, ms, tps])).toEqual([
    [5, 500, 10],
    [20, 2000, 10],
  ])
  expect(progress).toEqual([1, 2, 3, 4].map((done) => [done, 4]))
})
