import { expect, it } from "vitest"
import { benchBatch } from "./batch.js"

it("gives each sequence a prompt of its own, counts all their tokens and frees every batch", async () => {
  const calls: string[] = []
  const open = async (sequences: number) => ({
    vocab_size: 1000,
    async prefill(prompts: readonly Uint32Array[]) {
      const distinct = new Set(prompts.map((prompt) => prompt.join()))
      calls.push(`${sequences}: prefill ${prompts.map(({ length }) => length)}, ${distinct.size} distinct`)
    },
    async decode(tokens: number) {
      calls.push(`${sequences}: decode ${tokens}`)
    },
    dispose: () => calls.push(`${sequences}: dispose`),
  })
  const points = await benchBatch(open, { sequences: [1, 3], prompt_length: 4, tokens: 5, runs: 1 })
  const run = (n: number, lengths: string) => [`${n}: prefill ${lengths}, ${n} distinct`, `${n}: decode 5`]
  expect(calls).toEqual([
    ...run(1, "4"),
    ...run(1, "4"),
    "1: dispose",
    ...run(3, "4,4,4"),
    ...run(3, "4,4,4"),
    "3: dispose",
  ])
  for (const { sequences, tps, steps_per_second } of points) expect(tps / steps_per_second).toBeCloseTo(sequences)
})
