import { expect, it, vi } from "vitest"
import * as mx from "../array/mx.js"
import { WebGpuBackend } from "../backends/webgpu/backend.js"
import { nodeGpu } from "../backends/webgpu/node_gpu.js"
import { KvStore } from "../cache/kv_store.js"
import { LanguageModel, type ModelInfo } from "../engine/model.js"
import type { Scheduler } from "../engine/scheduler.js"
import { Sequence, type SequenceRequest } from "../engine/sequence.js"
import type { CausalLM } from "../engine/step.js"
import { benchGpu } from "./gpu.js"

const info: ModelInfo = {
  name: "chain",
  model_type: "chain",
  backend: "webgpu",
  load_ms: 0,
  weight_bytes: 0,
  weight_bytes_per_token: 1000,
  cache_bytes_per_token: (context) => context,
  layers: 2,
  vocab_size: 100,
  chats: false,
  max_context: 100,
}

/** Three kernels per step, two of one kind, for a whole prompt or a token; remembers what it was asked. */
async function chain(backend: WebGpuBackend) {
  const spec = { x: { shape: [1000], dtype: "float32" } } as const
  const program = await mx.compile(spec, ({ x }) => ({ outputs: [mx.sqrt(mx.abs(mx.sqrt(x)))] }), { device: backend })
  const x = new Float32Array(1000)
  const requests: SequenceRequest[] = []
  const scheduler = {
    vocab_size: 10,
    submit(request: SequenceRequest) {
      requests.push(request)
      const sequence = new Sequence(request, 10, () => {})
      const run = async () => {
        while (!sequence.isOver) {
          await program.replay({ x })
          await backend.fence()
          sequence.submitted(1, true, true)
          if (sequence.take({ token: 1 }, true)) sequence.end()
        }
      }
      run().catch((error: unknown) => sequence.events.fail(error))
      return sequence
    },
    close: async () => {},
  }
  return { scheduler: scheduler as unknown as Scheduler, requests }
}

/** Never run: the scheduler stands for it. */
const network: CausalLM = {
  config: { vocab_size: 1, max_position_embeddings: 1 },
  layers: [{ num_key_value_heads: 1, head_dim: 8, window: null }],
  forward: (ids) => ids,
}

it.each([
  ["one row: of the step after the prompt", { context: 20, rows: 1 }, { prompt: 20, max_tokens: 2, bytes: 1000 + 21 }],
  ["several: of a prompt's last", { context: 20, rows: 7 }, { prompt: 27, max_tokens: 1, bytes: 0 }],
  ["a whole prompt, of which nothing is cached", { context: 0, rows: 7 }, { prompt: 7, max_tokens: 1, bytes: 0 }],
])("counts the kernels of the last step alone; %s", async (_, { context, rows }, expected) => {
  const backend = await WebGpuBackend.open(await nodeGpu({ validate: true }))
  const { scheduler, requests } = await chain(backend)
  const store = new KvStore(network.layers, { size: { pages: 1 }, max_context: 64, format: "float16" })
  const clear = vi.spyOn(store, "clear")
  const model = new LanguageModel({
    info,
    scheduler,
    store,
    network,
    speech: { name: info.name, stopTokens: new Set() },
    close: async () => {},
  })
  const step = await benchGpu(model, backend, { context, rows, runs: 2, roofline: async () => 1e9 })
  await backend.close()
  const counts = Object.fromEntries(step.kernels.map(({ label, dispatches }) => [label, dispatches]))
  expect(counts).toEqual({ "unary sqrt": 2, "unary abs": 1 })
  expect(step).toMatchObject({ dispatches: 3, dispatches_per_layer: 1.5, bytes: expected.bytes })
  expect(step.roofline_share).toBeCloseTo((expected.bytes * 1e6) / step.step_us / 1e9)
  for (const { prompt, max_tokens } of requests) {
    expect({ prompt: prompt.length, max_tokens }).toEqual({ prompt: expected.prompt, max_tokens: expected.max_tokens })
  }
  expect(clear).toHaveBeenCalledTimes(context === 0 ? requests.length : 0)
})
