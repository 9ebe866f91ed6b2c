import { afterEach, expect, it, vi } from "vitest"
import type { LanguageModel } from "../engine/model.js"
import { Sequence, type SequenceRequest } from "../engine/sequence.js"
import type { Peer } from "./peer.js"
import { benchPrefill } from "./prefill.js"
import { tokenIds } from "./prompt.js"

afterEach(() => vi.restoreAllMocks())

/** A clock that only work moves, and a model that notes what it is asked for: 0.1 s a token. */
function fakeModel(): { model: LanguageModel; calls: string[]; work: (ms: number) => void } {
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
  const work = (ms: number) => {
    now += ms
  }
  return { model: { scheduler, store } as unknown as LanguageModel, calls, work }
}

it("warms up before each length, and times whole prompts of which nothing is cached", async () => {
  const { model, calls } = fakeModel()
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

it("has a peer read the same prompts, each run after one of the model", async () => {
  const { model, calls, work } = fakeModel()
  const prefill = async (prompt: Uint32Array) => {
    expect(prompt).toEqual(tokenIds(prompt.length, 50))
    calls.push(`peer ${prompt.length}`)
    work(1000)
    return 1000
  }
  const peer = { prefill } as unknown as Peer
  const [result] = await benchPrefill(model, { lengths: [20], runs: 2, peer })
  const ours = ["clear", "prompt 20, 1"]
  expect(calls.slice(-6)).toEqual([...ours, "peer 20", ...ours, "peer 20"])
  // Each warmed up on its own before.
  expect(calls.indexOf("peer 20")).toBeGreaterThan(2)
  expect(result.tps).toBe(10)
  expect(result.peer).toEqual({ tps: 20, tps_range: [20, 20], ratio: 0.5 })
})
