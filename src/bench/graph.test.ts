import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import { ReferenceBackend } from "../backends/reference/backend.js"
import { loadModel } from "../engine/node_model.js"
import { memoryStats } from "../tensor/storage.js"
import { benchGraph } from "./graph.js"

const fixture = fileURLToPath(new URL("../../../test/models/fixtures/three-of-ten/hf", import.meta.url))

it("times each way to decode, as often as it says, and leaves no memory behind", async () => {
  const backend = new ReferenceBackend()
  const model = await loadModel(fixture, { backend })
  const before = memoryStats().resident[backend.name]
  const progress: number[] = []
  const onProgress = (done: number, total: number) => progress.push(done / total)
  const result = await benchGraph(model, backend, { prompt_length: 3, tokens: 2, runs: 1, onProgress })
  const [decode, prompt] = result.build
  expect([decode.step, prompt.step]).toEqual(["decode", "prompt"])
  expect(prompt.launches).toBe(decode.launches + 1) // it takes the last row
  expect(result.new_length_ratio).toBeGreaterThan(0)
  const [traced, ...passes] = result.variants
  expect(traced.without).toBeNull()
  expect(passes).toHaveLength(7)
  for (const { launches } of passes) {
    expect(launches).toBeGreaterThan(decode.launches)
    expect(launches).toBeLessThan(traced.launches)
  }
  expect(progress.at(-1)).toBe(1)
  expect(memoryStats().resident[backend.name]).toBe(before)
  await model.close()
})
