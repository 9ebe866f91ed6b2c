import { afterEach, expect, it, vi } from "vitest"
import { benchBatch } from "./batch.js"

afterEach(() => vi.restoreAllMocks())

it("warms up, gives each sequence a prompt of its own, counts all their tokens and frees every batch", async () => {
  let now = 0
  vi.spyOn(performance, "now").mockImplementation(() => now)
  const calls: string[] = []
  const open = async (sequences: number) => ({
    vocab_size: 1000,
    async prefill(prompts: readonly Uint32Array[]) {
      const distinct = new Set(prompts.map((prompt) => prompt.join()))
      calls.push(`${sequences}: prefill ${prompts.map(({ length }) => length)}, ${distinct.size} distinct`)
      now += 100
    },
    async decode(tokens: number) {
      calls.push(`${sequences}: decode ${tokens}`)
      now += 500
    },
    dispose: () => calls.push(`${sequences}: dispose`),
  })
  const points = await benchBatch(open, { sequences: [1, 3], prompt_length: 4, tokens: 5, runs: 2 })
  const run = (n: number, lengths: string) => [`${n}: prefill ${lengths}, ${n} distinct`, `${n}: decode 5`]
  // After one run that compiles, three are the first to fill the time in which clocks rise.
  const runs = (n: number, lengths: string) => [1, 2, 3, 4, 5, 6].flatMap(() => run(n, lengths))
  expect(calls).toEqual([...runs(1, "4"), "1: dispose", ...runs(3, "4,4,4"), "3: dispose"])
  expect(points).toEqual([
    { sequences: 1, tps: 10, tps_range: [10, 10], steps_per_second: 10 },
    { sequences: 3, tps: 30, tps_range: [30, 30], steps_per_second: 10 },
  ])
})
