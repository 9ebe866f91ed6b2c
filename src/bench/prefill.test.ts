import { afterEach, expect, it, vi } from "vitest"
import type { LanguageModel } from "../engine/model.js"
import { Sequence, type SequenceRequest } from "../engine/sequence.js"
import { benchPrefill } from "./prefill.js"

afterEach(() => vi.restoreAllMocks())

it("warms up before each length, and times whole prompts of which nothing is cached", async () => {
  let now = 0
  vi.spyOn(performance, "now").mockImplementation(() => now)
  const calls: string[] = []
  const scheduler = {
    vocab_size: 50,
    submit(request: SequenceRequest) {
      const { length } = request.prompt
      calls.push(`prompt ${length}, ${request.max_tokens}`)
      const sequence = new Sequence(request, 50, () => {})
      sequence.times.admitted = now
      // The first run compiles, and does not count as time in which clocks rise.
      now += length * 100 + (calls.length === 2 ? 5000 : 0)
      sequence.submitted(length, true, true)
      sequence.take({ token: 1 }, true)
      sequence.end()
      return sequence
    },
  }
  const store = { clear: () => void calls.push("clear") }
  const model = { scheduler, store } as unknown as LanguageModel
  const progress: number[][] = []
  const onProgress = (...at: number[]) => void progress.push(at)
  const results = await benchPrefill(model, { lengths: [5, 20], runs: 2, onProgress })
  const run = (length: number) => ["clear", `prompt ${length}, 1`]
  // Four runs of 5 tokens warm up, and two of 20.
  expect(calls).toEqual([5, 5, 5, 5, 5, 5, 20, 20, 20, 20].flatMap(run))
  expect(results.map(({ length, ms, tps }) => [length, ms, tps])).toEqual([
    [5, 500, 10],
    [20, 2000, 10],
  ])
  expect(progress).toEqual([1, 2, 3, 4].map((done) => [done, 4]))
})
