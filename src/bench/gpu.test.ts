import { expect, it } from "vitest"
import * as mx from "../array/mx.js"
import { WebGpuBackend } from "../backends/webgpu/backend.js"
import { nodeGpu } from "../backends/webgpu/node_gpu.js"
import { LanguageModel, type ModelInfo } from "../engine/model.js"
import type { ModelRunner } from "../engine/model_runner.js"
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
  max_context: 100,
}

/** Three kernels per step, two of one kind; remembers how many tokens it has seen. */
async function chain(backend: WebGpuBackend): Promise<{ runner: ModelRunner; ran: number[] }> {
  const spec = { x: { shape: [1000], dtype: "float32" } } as const
  const program = await mx.compile(spec, ({ x }) => ({ outputs: [mx.sqrt(mx.abs(mx.sqrt(x)))] }), { device: backend })
  const x = new Float32Array(1000)
  const ran: number[] = []
  let length = 0
  const runner = {
    vocab_size: 10,
    max_context: 100,
    get length() {
      return length
    },
    async forward(tokens: Uint32Array) {
      await program.replay({ x })
      length += tokens.length
      ran.push(tokens.length)
      return x
    },
    async *logits() {},
    trim(n: number) {
      length = Math.min(length, n)
      return length
    },
    reset() {
      length = 0
    },
    dispose() {},
  }
  return { runner, ran }
}

/** Never run: the runner stands for it. */
const network: CausalLM = {
  config: { vocab_size: 1, max_position_embeddings: 1 },
  forward: (ids) => ids,
  makeCaches: () => [],
}

it("counts a step's kernels, and steps back to the context each time", async () => {
  const backend = await WebGpuBackend.open(await nodeGpu({ validate: true }))
  const { runner, ran } = await chain(backend)
  const model = new LanguageModel({
    info,
    runner,
    network,
    speech: { name: info.name, stopTokens: new Set() },
    openRunner: () => runner,
    close: async () => {},
  })
  const step = await benchGpu(model, backend, { context: 20, rows: 1, runs: 2, roofline: async () => 1e9 })
  await backend.close()
  const counts = Object.fromEntries(step.kernels.map(({ label, dispatches }) => [label, dispatches]))
  expect(counts).toEqual({ "unary sqrt": 2, "unary abs": 1 })
  expect(step).toMatchObject({ dispatches: 3, dispatches_per_layer: 1.5, bytes: 1000 + 21 })
  expect(step.roofline_share).toBeCloseTo((1021 * 1e6) / step.step_us / 1e9)
  expect(ran[0]).toBe(20)
  expect(ran.slice(1).every((tokens) => tokens === 1)).toBe(true)
})
