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
