import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import type { Backend } from "../../backends/backend.js"
import { ReferenceBackend } from "../../backends/reference/backend.js"
import { openCheckpoint } from "../../checkpoint/checkpoint.js"
import { nodeDirectory } from "../../checkpoint/node_directory.js"
import type { DType } from "../../tensor/dtype.js"
import { inspect } from "./inspect.js"

const tiny = fileURLToPath(new URL("../../../../models/minerva-tiny", import.meta.url))

const preferring = (dtype: DType): Backend =>
  Object.assign(Object.create(new ReferenceBackend()), { kvFormats: [dtype] })

it.each<[DType, number]>([
  ["float32", 4],
  ["float16", 2],
])("counts caches in %s where the device prefers that", async (dtype, size) => {
  const checkpoint = await openCheckpoint(nodeDirectory(tiny))
  const { config, memory } = await inspect("tiny", checkpoint, { backend: preferring(dtype), reason: "one for tests" })
  await checkpoint.close()
  expect(memory).toMatchObject({ device: "one for tests", kv_cache_dtype: dtype })
  const [first, second] = memory.kv_cache_bytes
  const full = config.layer_types.filter((type) => type === "full_attention").length
  const perToken = 2 * config.num_key_value_heads * config.head_dim * size
  expect(second.bytes - first.bytes).toBe(full * (second.context - first.context) * perToken)
})

it("tells what running the model takes, whether that fits, and why there is no telling", async () => {
  const checkpoint = await openCheckpoint(nodeDirectory(tiny))
  const opened = { backend: new ReferenceBackend(), reason: "one for tests" }
  const { plan, refusal } = (await inspect("tiny", checkpoint, opened, { context: 500 })).memory
  expect({ refusal, max_context: plan?.max_context }).toEqual({ refusal: null, max_context: 500 })
  const memoryLimit = plan!.total - 1
  const tight = await inspect("tiny", checkpoint, opened, { context: 500, memoryLimit })
  // Seven pages of 64.
  expect(tight.memory.refusal).toContain("lower the context (up to 448 tokens fit)")
  const [[name], ...others] = checkpoint.tensors
  const incomplete = Object.assign(Object.create(checkpoint), { tensors: new Map(others) })
  const { memory, tensors } = await inspect("tiny", incomplete, opened)
  expect(memory.plan).toBeNull()
  expect(memory.refusal).toContain(name)
  expect(tensors).toHaveLength(others.length)
  await checkpoint.close()
})

it("tells what a token and a page take in 16, 8 and 4 bits, and how many tokens fit", async () => {
  const checkpoint = await openCheckpoint(nodeDirectory(tiny))
  const opened = { backend: new ReferenceBackend(), reason: "one for tests" }
  const { config, memory } = await inspect("tiny", checkpoint, opened)
  const full = config.layer_types.filter((type) => type === "full_attention").length
  const values = 2 * full * config.num_key_value_heads * config.head_dim
  const shares = memory.pools.map(({ kv_bits, bytes_per_token, page_bytes }) => {
    expect(bytes_per_token).toBe(page_bytes / 64)
    return [kv_bits, (8 * bytes_per_token) / values]
  })
  // 8 bits and a scale per vector; 4 with theirs.
  expect(shares).toEqual([
    [16, 16],
    [8, expect.closeTo(8, 0)],
    [4, 4],
  ])
  const kvMemory = memory.pools[0].page_bytes * memory.pools[0].pages * 0.6
  const { pools, plan, refusal } = (await inspect("tiny", checkpoint, opened, { kvMemory, kvBits: 8 })).memory
  await checkpoint.close()
  const [{ max_context }, ...smaller] = pools
  expect(max_context).toBeLessThan(config.max_position_embeddings)
  expect(max_context).toBeGreaterThan(config.max_position_embeddings / 2)
  for (const pool of smaller) expect(pool.max_context).toBe(config.max_position_embeddings)
  for (const { pages, page_bytes } of pools) expect(pages).toBe(Math.floor(kvMemory / page_bytes))
  expect({ refusal, caches: plan!.caches }).toEqual({ refusal: null, caches: pools[1].pages * pools[1].page_bytes })
})
