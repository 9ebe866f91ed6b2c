import fc from "fast-check"
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import type { LanguageModel } from "../engine/model.js"
import { Sequence, type SequenceRequest } from "../engine/sequence.js"
import { arrivalTimes, benchArrivals } from "./arrivals.js"
import { spreadOf } from "./quantile.js"

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "performance"] }))
afterEach(() => void vi.useRealTimers())

const FIRST_MS = 100
const NEXT_MS = 10

/** Serves one request at a time: its first token after a while, the others at even gaps. */
function slowModel() {
  const submitted: { readonly request: SequenceRequest; readonly at: number }[] = []
  const queue: Sequence[] = []
  let clears = 0
  let isServing = false
  const serve = async () => {
    isServing = true
    for (let sequence = queue.shift(); sequence; sequence = queue.shift()) {
      for (let ms = FIRST_MS; !sequence.isOver; ms = NEXT_MS) {
        await new Promise((resolve) => setTimeout(resolve, ms))
        sequence.submitted(1, true, true)
        if (sequence.take({ token: 1 }, true)) sequence.end()
      }
    }
    isServing = false
  }
  const scheduler = {
    vocab_size: 1000,
    get load() {
      return { running: Number(isServing), waiting: queue.length }
    },
    submit(request: SequenceRequest) {
      submitted.push({ request, at: performance.now() })
      const sequence = new Sequence(request, 1000, () => {})
      queue.push(sequence)
      if (!isServing) void serve()
      return sequence
    },
  }
  const store = { clear: () => void clears++ }
  return { model: { scheduler, store } as unknown as LanguageModel, submitted, clears: () => clears }
}

const OPTIONS = { requests: 6, seed: 3, prompt_length: 4, tokens: 5, sampling: { temperature: 1, top_p: 0.9 }, runs: 2 }
const SERVICE_MS = FIRST_MS + 4 * NEXT_MS

async function run(rate: number) {
  const { model, submitted, clears } = slowModel()
  const progress: number[][] = []
  const result = benchArrivals(model, { ...OPTIONS, rate, onProgress: (...at) => void progress.push(at) })
  await vi.runAllTimersAsync()
  return { result: await result, submitted, clears: clears(), progress }
}

it("times requests that come seldom as if each were alone", async () => {
  const { result, submitted, clears, progress } = await run(0.01)
  expect(result.first_token_ms.p50).toBeCloseTo(FIRST_MS, -0.5)
  expect(result.first_token_ms.p95).toBeCloseTo(FIRST_MS, -0.5)
  expect(result.next_token_ms).toEqual({ p50: NEXT_MS, p95: NEXT_MS })
  expect(result.most_waiting).toBe(0)
  expect(submitted).toHaveLength(3 * 6)
  expect(clears).toBe(3)
  expect(progress).toEqual(Array.from({ length: 12 }, (_, i) => [i + 1, 12]))
  for (let run = 0; run < 3; run++) {
    const requests = submitted.slice(6 * run, 6 * run + 6).map(({ request }) => request)
    expect(new Set(requests.map(({ prompt }) => prompt[0])).size).toBe(6)
    expect(requests.map(({ params }) => params)).toMatchObject(
      requests.map((_, seed) => ({ ...OPTIONS.sampling, seed })),
    )
  }
})

it("counts those that wait, and their waiting, when all come at once", async () => {
  const { result } = await run(1e9)
  expect(result.most_waiting).toBe(5)
  // One after the other: the first tokens come a service apart.
  const expected = spreadOf(Array.from({ length: 6 }, (_, i) => FIRST_MS + i * SERVICE_MS))
  expect(result.first_token_ms.p50).toBeCloseTo(expected.p50)
  expect(result.tps).toBeCloseTo((5 * 1000) / SERVICE_MS)
})

it("requests come at random, so many a second, at the same times for the same seed", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e6 }), fc.double({ min: 0.1, max: 100, noNaN: true }), (seed, rate) => {
      const times = arrivalTimes(2000, rate, seed)
      expect(arrivalTimes(2000, rate, seed)).toEqual(times)
      expect(arrivalTimes(2000, rate, seed + 1)).not.toEqual(times)
      const gaps = times.map((time, i) => time - (times[i - 1] ?? 0))
      expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0)
      const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length
      const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length
      // Exponential: the deviation is the mean. Both within five standard errors and more.
      expect((mean * rate) / 1000).toBeGreaterThan(0.85)
      expect((mean * rate) / 1000).toBeLessThan(1.15)
      expect(Math.sqrt(variance) / mean).toBeGreaterThan(0.75)
      expect(Math.sqrt(variance) / mean).toBeLessThan(1.25)
    }),
    { numRuns: 50, seed: 11 },
  )
})

it("quantiles are those of numpy", () => {
  // np.quantile([4, 1, 3, 2], [0.5, 0.95]), and of one value
  expect(spreadOf([4, 1, 3, 2])).toEqual({ p50: 2.5, p95: expect.closeTo(3.85) })
  expect(spreadOf([7])).toEqual({ p50: 7, p95: 7 })
})
