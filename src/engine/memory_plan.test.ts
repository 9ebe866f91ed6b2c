import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import type { Backend } from "../backends/backend.js"
import { FUSED_KINDS } from "../ir/operations.js"
import { ReferenceBackend } from "../backends/reference/backend.js"
import { GpuCounter } from "../backends/webgpu/counter.js"
import { openCheckpoint } from "../checkpoint/checkpoint.js"
import { nodeDirectory } from "../checkpoint/node_directory.js"
import { parseGptOssConfig } from "../models/config.js"
import { GptOss } from "../models/gpt_oss.js"
import { byteLengthOf } from "../models/layout.js"
import { loadGptOss } from "../models/load.js"
import { memoryStats } from "../tensor/storage.js"
import { kvBytes } from "../cache/kv_size.js"
import { ParameterError } from "./errors.js"
import { checkMemory, MemoryLimitError } from "./memory_check.js"
import { type KvNeeds, type MemoryPlan, planMemory } from "./memory_plan.js"
import { loadModel } from "./node_model.js"
import { tinyJson } from "../../test/engine/model_folder.js"
import { generated } from "../../test/engine/scheduling.js"
import { H100 } from "../../test/backends/webgpu/planned.js"
import { unreadModel } from "../../test/models/unread.js"

const tiny = fileURLToPath(new URL("../../../models/minerva-tiny", import.meta.url))
const backend = new ReferenceBackend()

async function planOf(max_context: number, needs: Partial<KvNeeds> = {}): Promise<MemoryPlan> {
  const checkpoint = await openCheckpoint(nodeDirectory(tiny))
  const plan = await planMemory(await loadGptOss(checkpoint), backend, { format: "float32", max_context, ...needs })
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
    const { layers } = new GptOss(config)
    expect(plan.caches).toBe(kvBytes(layers, { tokens: 1000, chunk: backend.prefillChunk, format: "float32" }))
    const logits = config.vocab_size * 4
    const hiddenRows = 256 * config.hidden_size * 4
    expect(plan.working).toBeGreaterThan(logits + hiddenRows)
    expect(plan.largestWeight.byteLength).toBe(Math.max(...[...checkpoint.tensors.values()].map((t) => t.byteLength)))
    await checkpoint.close()
  })

  it("has room for the rows and logits of all that run at once, which share the pool", async () => {
    const [alone, many] = [await planOf(100), await planOf(100, { max_sequences: 64 })]
    const { vocab_size } = parseGptOssConfig(tinyJson("config.json"))
    expect(many).toMatchObject({ weights: alone.weights, caches: alone.caches, max_sequences: 64 })
    // As the model gives them, and as a request changes them, for as many rows as steps of 64 are compiled for.
    const rows = backend.rowClasses.find((most) => most >= 64)!
    expect(many.working).toBeGreaterThan(2 * rows * vocab_size * 4)
  })

  it("counts a batch's caches and the rows of its steps beside", async () => {
    const [alone, batch] = [await planOf(100), await planOf(100, { sequences: 300 })]
    const { vocab_size } = parseGptOssConfig(tinyJson("config.json"))
    expect(batch).toMatchObject({ weights: alone.weights, caches: 300 * alone.caches, sequences: 300 })
    // One sequence's step gives the logits of its last token alone, a batch's those of every sequence.
    expect(batch.working).toBeGreaterThan(alone.working)
    expect(batch.working).toBeGreaterThan(300 * vocab_size * 4)
    expect(batch.largestCache.byteLength).toBe(300 * alone.largestCache.byteLength)
  })
})

describe("gpt-oss-120b on a card of 80 GB", () => {
  const gpu: Backend = Object.assign(new ReferenceBackend(), {
    fusions: new Set(FUSED_KINDS),
    kvFormats: ["float16" as const],
    prefillChunk: 2048,
    replaysAhead: 6,
    memoryCounter: () => new GpuCounter(H100, "NVIDIA H100"),
  })

  it.each(["mlx", "hf"] as const)(
    "fits with its whole context, and loses under 1 %% to alignment: %s",
    async (format) => {
      const { model, layout } = unreadModel("gpt-oss-120b", format)
      const { config } = model
      const plan = await planMemory(model, gpu, {
        format: "float16",
        max_context: config.max_position_embeddings,
      })
      const stored = layout.reduce((sum, tensor) => sum + byteLengthOf(tensor), 0)
      expect(plan.weights).toBeGreaterThanOrEqual(stored)
      expect(plan.weights).toBeLessThan(1.01 * stored)
      // Half of the layers keep every token; the others a window and a chunk, which share their pages.
      const keys = 131072 * 8 * 64 * 2
      expect(plan.largestCache.byteLength).toBeGreaterThan(keys)
      expect(plan.largestCache.byteLength).toBeLessThan(1.02 * keys)
      expect(plan.caches).toBeGreaterThanOrEqual(18 * 2 * plan.largestCache.byteLength)
      expect(plan.caches).toBeLessThan(1.02 * 18 * 2 * plan.largestCache.byteLength)
      expect(plan.total).toBeLessThan(78 * 2 ** 30)
    },
  )
})

describe("the limit", () => {
  const plan: MemoryPlan = {
    weights: 700,
    caches: 200,
    working: 90,
    staging: 10,
    total: 1000,
    max_context: 50,
    max_sequences: 1,
    largestWeight: { name: "head", byteLength: 300 },
    largestCache: { name: "keys", byteLength: 100 },
  }
  const cachesOf = async (n: number) => ({ bytes: n * 4, largest: { name: "keys", byteLength: n * 2 } })

  it.each([{ limit: 1000 }, {}, { maxArray: 300 }, { maxCache: 100 }])("is inclusive: %j", async (bounds) => {
    await checkMemory(plan, bounds, cachesOf)
  })

  it.each([
    [{ limit: 999 }, "takes 1.00 kB: weights 700 B, caches of 50 tokens 200 B, intermediate values 90 B, buffers for"],
    [
      { limit: 999 },
      "loading 10 B. The memory limit is 999 B: lower the context (up to 49 tokens fit), raise the limit",
    ],
    [{ limit: 880 }, "up to 20 tokens fit"],
    [
      { limit: 500 },
      "limit is 500 B: no context fits: raise the limit, choose a smaller model or choose another device",
    ],
    [{ maxArray: 299 }, "head takes 300 B, and the device holds arrays of at most 299 B"],
    [
      { maxCache: 99 },
      "the pool of keys and values of 50 tokens takes 100 B in one array, and the device holds caches in arrays of at most 99 B: lower",
    ],
    [{ maxCache: 70, limit: 999 }, "lower the context (up to 35 tokens fit) or choose another device"],
    [{ maxCache: 3 }, "at most 3 B: choose another device"],
  ])("%j: %s", async (bounds, text) => {
    const refused = checkMemory(plan, bounds, cachesOf)
    await expect(refused).rejects.toThrow(MemoryLimitError)
    await expect(refused).rejects.toThrow(text)
  })

  it.each([
    [
      { limit: 999 },
      "caches of 9 sequences, 50 tokens each, 200 B, intermediate values of up to 9 sequences at once 90 B",
    ],
    [{ limit: 999 }, "lower the number of sequences (up to 8 sequences fit), raise the limit"],
    [{ limit: 803 }, "no number of sequences fits: raise the limit"],
    [{ maxCache: 17 }, "of 9 sequences, 50 tokens each, takes 100 B in one array, and the device holds"],
    [{ maxCache: 17 }, "lower the number of sequences (up to 8 sequences fit) or choose another device"],
  ])("of a batch, %j: %s", async (bounds, text) => {
    await expect(checkMemory({ ...plan, sequences: 9, max_sequences: 9 }, bounds, cachesOf)).rejects.toThrow(text)
  })

  it("stops loadModel before the weights of a batch that would not fit; the number it names then fits", async () => {
    const { total } = await planOf(40, { sequences: 6 })
    const options = { backend, max_context: 40, memory_limit: total - 1 }
    const resident = memoryStats().resident
    const error = await loadModel(tiny, { ...options, sequences: 6 }).catch((error: Error) => error)
    expect(error).toBeInstanceOf(MemoryLimitError)
    expect((error as MemoryLimitError).message).toContain("up to 5 sequences fit")
    expect(memoryStats().resident).toEqual(resident)
    const model = await loadModel(tiny, { ...options, sequences: 5 })
    const prompts = [1, 2, 3, 4, 5].map((first) => [first, 2, 3])
    await Promise.all(prompts.map((prompt) => generated(model.scheduler, prompt, { temperature: 0, max_tokens: 5 })))
    expect(memoryStats().resident[backend.name] - (resident[backend.name] ?? 0)).toBeLessThan(options.memory_limit)
    await model.close()
  })

  it("stops loadModel before anything is resident; the context it names then loads", async () => {
    const { weights, caches, working, total } = await planOf(4000, { max_sequences: 16 })
    const memory_limit = total - 1
    const resident = memoryStats().resident
    const error = await loadModel(tiny, { backend, max_context: 4000, memory_limit }).catch((error: Error) => error)
    expect(error).toBeInstanceOf(MemoryLimitError)
    expect((error as MemoryLimitError).plan).toMatchObject({ weights, caches, working, max_context: 4000 })
    expect(memoryStats().resident).toEqual(resident)
    const fitting = Number(/up to (\d+) tokens/.exec((error as Error).message)?.[1])
    // A page of 64 less.
    expect(fitting).toBe(3968)
    await (await loadModel(tiny, { backend, max_context: fitting, memory_limit })).close()
  })

  it.each([0, -1, Number.NaN])("of %d is an error of its own", async (memory_limit) => {
    await expect(loadModel(tiny, { backend, memory_limit })).rejects.toBeInstanceOf(ParameterError)
  })
})
