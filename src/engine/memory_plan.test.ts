import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { ReferenceBackend } from "../backends/reference/backend.js"
import { openCheckpoint } from "../checkpoint/checkpoint.js"
import { nodeDirectory } from "../checkpoint/node_directory.js"
import { parseGptOssConfig } from "../models/config.js"
import { GptOss } from "../models/gpt_oss.js"
import { loadGptOss } from "../models/load.js"
import { memoryStats } from "../tensor/storage.js"
import { BatchRunner } from "./batch_runner.js"
import { ParameterError } from "./errors.js"
import { checkMemory, MemoryLimitError, type MemoryPlan, planMemory } from "./memory_plan.js"
import { loadModel } from "./node_model.js"

const tiny = fileURLToPath(new URL("../../models/minerva-tiny", import.meta.url))
const backend = new ReferenceBackend()

async function planOf(max_context: number, sequences?: number): Promise<MemoryPlan> {
  const checkpoint = await openCheckpoint(nodeDirectory(tiny))
  const plan = await planMemory(await loadGptOss(checkpoint), backend, max_context, sequences)
  await checkpoint.close()
  return plan
}

describe("a plan", () => {
  it("counts weights, caches and working memory without reading a weight", async () => {
    const before = memoryStats()
    const plan = await planOf(1000)
    expect(memoryStats()).toEqual(before)
    const checkpoint = await openCheckpoint(nodeDirectory(tiny))
    const config = parseGptOssConfig(checkpoint.config)
    const inv_freq_bytes = (config.head_dim / 2) * 4
    expect(plan.weights - checkpoint.byteLength).toBeGreaterThanOrEqual(0)
    expect(plan.weights - checkpoint.byteLength).toBeLessThanOrEqual(config.num_hidden_layers * inv_freq_bytes)
    const caches = new GptOss(config).makeCaches(1000, 256)
    for (const cache of caches) cache.reserve(1000)
    const states = caches.flatMap(({ states }) => states)
    expect(plan.caches).toBe(states.reduce((sum, { byteLength }) => sum + byteLength, 0))
    const logits = config.vocab_size * 4
    const hiddenRows = 256 * config.hidden_size * 4
    expect(plan.working).toBeGreaterThan(logits + hiddenRows)
    expect(plan.largest.byteLength).toBe(Math.max(...[...checkpoint.tensors.values()].map((t) => t.byteLength)))
    await checkpoint.close()
  })

  it("counts a batch's caches and the rows of its steps beside", async () => {
    const [alone, batch] = [await planOf(100), await planOf(100, 300)]
    const checkpoint = await openCheckpoint(nodeDirectory(tiny))
    await checkpoint.close()
    const config = parseGptOssConfig(checkpoint.config)
    const token = 2 * config.num_key_value_heads * config.head_dim * 4 * config.num_hidden_layers
    expect(batch).toMatchObject({ weights: alone.weights, sequences: 300 })
    expect(batch.caches - alone.caches).toBe(300 * 100 * token)
    // A prompt's step gives the logits of its last token alone, a batch's those of every sequence.
    expect(batch.working).toBeGreaterThan(alone.working)
    expect(batch.working).toBeGreaterThan(300 * config.vocab_size * 4)
    expect(batch.largest.byteLength).toBe(300 * 100 * (token / 2 / config.num_hidden_layers))
  })
})

describe("the limit", () => {
  const plan = { weights: 700, caches: 200, working: 100, max_context: 50, largest: { name: "head", byteLength: 300 } }
  const cacheBytes = (context: number) => context * 4

  it("is inclusive, and none refuses nothing", () => {
    expect(() => checkMemory(plan, { limit: 1000 }, cacheBytes)).not.toThrow()
    expect(() => checkMemory(plan, {}, cacheBytes)).not.toThrow()
    expect(() => checkMemory(plan, { maxArray: 300 }, cacheBytes)).not.toThrow()
  })

  it.each([
    [{ limit: 999 }, "takes 1.00 kB: weights 700 B, caches of 50 tokens 200 B, intermediate values 100 B. The memory"],
    [{ limit: 999 }, "limit is 999 B: lower the context (up to 49 tokens fit)"],
    [{ limit: 880 }, "up to 20 tokens fit"],
    [{ limit: 500 }, "limit is 500 B: no context fits"],
    [{ maxArray: 299 }, "head takes 300 B, and the device holds arrays of at most 299 B"],
  ])("%j: %s", (bounds, text) => {
    const refuse = () => checkMemory(plan, bounds, cacheBytes)
    expect(refuse).toThrow(MemoryLimitError)
    expect(refuse).toThrow(text)
  })

  it.each([
    [{ limit: 999 }, "caches of 9 sequences and a conversation, 50 tokens each, 200 B, intermediate values 100 B. The"],
    [{ limit: 999 }, "lower the number of sequences (up to 8 sequences fit), raise the limit"],
    [{ limit: 803 }, "no number of sequences fits: raise the limit"],
    [
      { maxArray: 299 },
      "head takes 300 B, and the device holds arrays of at most 299 B: choose another device, or fewer",
    ],
  ])("of a batch, %j: %s", (bounds, text) => {
    expect(() => checkMemory({ ...plan, sequences: 9 }, bounds, cacheBytes)).toThrow(text)
  })

  it("stops loadModel before the weights of a batch that would not fit; the number it names then fits", async () => {
    const { weights, caches, working } = await planOf(40, 6)
    const options = { backend, max_context: 40, memory_limit: weights + caches + working - 1 }
    const resident = memoryStats().resident
    const error = await loadModel(tiny, { ...options, sequences: 6 }).catch((error: Error) => error)
    expect(error).toBeInstanceOf(MemoryLimitError)
    expect((error as MemoryLimitError).message).toContain("up to 5 sequences fit")
    expect(memoryStats().resident).toEqual(resident)
    const model = await loadModel(tiny, { ...options, sequences: 5 })
    const batch = new BatchRunner(model.network, backend, { sequences: 5, max_context: 40 })
    const greedy = { temperature: 0, uniform: () => 0 }
    for (let s = 0; s < 5; s++) await batch.prefill(s, Uint32Array.of(1, 2, 3), greedy)
    expect(memoryStats().resident[backend.name] - (resident[backend.name] ?? 0)).toBeLessThan(options.memory_limit)
    batch.dispose()
    await model.close()
  })

  it("stops loadModel before anything is resident; the context it names then loads", async () => {
    const { weights, caches, working } = await planOf(4000)
    const memory_limit = weights + caches + working - 1
    const resident = memoryStats().resident
    const error = await loadModel(tiny, { backend, max_context: 4000, memory_limit }).catch((error: Error) => error)
    expect(error).toBeInstanceOf(MemoryLimitError)
    expect((error as MemoryLimitError).plan).toMatchObject({ weights, caches, working, max_context: 4000 })
    expect(memoryStats().resident).toEqual(resident)
    const fitting = Number(/up to (\d+) tokens/.exec((error as Error).message)?.[1])
    expect(fitting).toBe(3999)
    await (await loadModel(tiny, { backend, max_context: fitting, memory_limit })).close()
  })

  it.each([0, -1, Number.NaN])("of %d is an error of its own", async (memory_limit) => {
    await expect(loadModel(tiny, { backend, memory_limit })).rejects.toBeInstanceOf(ParameterError)
  })
})
