import fc from "fast-check"
import { expect, it } from "vitest"
import { CheckpointError } from "../checkpoint/errors.js"
import { memoryDirectory } from "../checkpoint/memory_directory.js"
import { readGenerationConfig } from "./generation_config.js"

const read = (text: string) =>
  readGenerationConfig(memoryDirectory(new Map([["generation_config.json", new TextEncoder().encode(text)]])), 100)

it("reads what gpt-oss is published with", async () => {
  const published = {
    bos_token_id: 98,
    do_sample: true,
    eos_token_id: [2, 99, 12],
    transformers_version: "4.55.0.dev0",
  }
  expect(await read(JSON.stringify(published))).toEqual({ eos_token_ids: [2, 99, 12], sampling: {} })
})

it("is silent where the file is absent", async () => {
  expect(await readGenerationConfig(memoryDirectory(new Map()), 100)).toEqual({ eos_token_ids: [], sampling: {} })
})

it("whatever is put in, gives ids of the vocabulary and values in range, or a typed error", async () => {
  const field = fc.constantFrom("eos_token_id", "do_sample", "temperature", "top_k", "top_p")
  const value = fc.oneof(fc.jsonValue(), fc.integer(), fc.double(), fc.array(fc.integer({ min: -5, max: 120 })))
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.dictionary(field, value), fc.jsonValue()), async (json) => {
      try {
        const { eos_token_ids, sampling } = await read(JSON.stringify(json))
        for (const id of eos_token_ids) expect(Number.isInteger(id) && id >= 0 && id < 100).toBe(true)
        const { temperature = 1, top_k = 0, top_p = 1 } = sampling
        expect(temperature >= 0 && temperature <= 2 && Number.isInteger(top_k) && top_p >= 0 && top_p <= 1).toBe(true)
      } catch (error) {
        if (!(error instanceof CheckpointError)) throw error
        expect(error.message).toContain("generation_config.json")
      }
    }),
    { numRuns: 1000, seed: 5 },
  )
})
