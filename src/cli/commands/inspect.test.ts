import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import type { Backend } from "../../backends/backend.js"
import { ReferenceBackend } from "../../backends/reference/backend.js"
import { openCheckpoint } from "../../checkpoint/checkpoint.js"
import { nodeDirectory } from "../../checkpoint/node_directory.js"
import type { DType } from "../../tensor/dtype.js"
import { inspect } from "./inspect.js"

const tiny = fileURLToPath(new URL("../../../models/minerva-tiny", import.meta.url))

const preferring = (dtype: DType): Backend =>
  Object.assign(Object.create(new ReferenceBackend()), { cacheDTypes: [dtype] })

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
