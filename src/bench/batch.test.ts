import { afterEach, expect, it, vi } from "vitest"
import type { Scheduler } from "../engine/scheduler.js"
import { Sequence, type SequenceRequest } from "../engine/sequence.js"
import { benchBatch } from "./batch.js"

afterEach(() => vi.restoreAllMocks())

it("warms up, gives each sequence a prompt of its own, and counts the tokens of all while all decode", async () => {
  let now = 0
  vi.spyOn(performance, "now").mockImplementation(() => now)
  const runs: SequenceRequest[][] = []
  let together: Sequence[] = []
  // A step of all every 100 ms, from when the last one came.
  const scheduler = {
    vocab_size: 1000,
    submit(request: SequenceRequest) {
      const sequence = new Sequence(request, 1000, () => {})
      if (together.push(sequence) === 1) setTimeout(run)
      return sequence
    },
  } as unknown as Scheduler
  async function run() {
    const sequences = together
    together = []
    runs.push(sequences.map(({ request }) => request))
    while (sequences.some(({ isOver }) => !isOver)) {
      now += 100
      for (const sequence of sequences) {
        sequence.submitted(1, true, true)
        if (sequence.take({ token: 1 }, true)) sequence.end()
      }
      await new Promise((resolve) => setTimeout(resolve))
    }
  }
  const sampling = { temperature: 0.5, top_p: 0.9 }
  const points = await benchBatch({ scheduler }, { sequences: [1, 3], prompt_length: 4, tokens: 5, sampling, runs: 2 })
  // After one run that compiles, four fill the time in which clocks rise.
  expect(runs.map(({ length }) => length)).toEqual([...Array(6).fill(1), ...Array(6).fill(3)])
  for (const requests of runs) {
    expect(new Set(requests.map(({ prompt }) => Array.from(prompt).join())).size).toBe(requests.length)
    expect(requests.map(({ params }) => params)).toMatchObject(requests.map((_, seed) => ({ ...sampling, seed })))
    for (const { prompt, max_tokens } of requests) expect([prompt.length, max_tokens]).toEqual([4, 6])
  }
  expect(points).toEqual([
    { sequences: 1, tps: 10, tps_range: [10, 10], steps_per_second: 10 },
    { sequences: 3, tps: 30, tps_range: [30, 30], steps_per_second: 10 },
  ])
})
