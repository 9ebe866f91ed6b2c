import { fileURLToPath } from "node:url"
import { expect, it, vi } from "vitest"
import type { WebGpuBackend } from "../backends/webgpu/backend.js"
import { Buffers } from "../backends/webgpu/buffers.js"
import { limitDevice } from "../../test/backends/webgpu/limited_device.js"
import { describeWithGpu } from "../../test/backends/webgpu/test_gpu.js"
import { openCheckpoint } from "../checkpoint/checkpoint.js"
import { nodeDirectory } from "../checkpoint/node_directory.js"
import { openFixture } from "../../test/models/fixtures.js"
import { loadGptOss } from "../models/load.js"
import { memoryStats } from "../tensor/storage.js"
import { MemoryLimitError } from "./memory_check.js"
import { planMemory } from "./memory_plan.js"
import { loadModel } from "./node_model.js"
import { generated, schedulerOf } from "../../test/engine/scheduling.js"

const tiny = fileURLToPath(new URL("../../../models/minerva-tiny", import.meta.url))

await describeWithGpu("the memory plan of a GPU", {}, (_gpu, createBackend) => {
  it("is what the backend allocates, to the byte", async () => {
    const { checkpoint, model } = await openFixture("clamped", "mlx-q8")
    const backend = createBackend()
    const { buffers } = backend.memory
    const needs = { format: backend.kvFormats[0], max_context: 20 }
    const plan = await planMemory(model, backend, needs)
    expect(buffers.peak).toBe(0)
    const { scheduler, close } = schedulerOf(model, backend, { max_context: 20, max_sequences: 1 })
    await scheduler.prepare()
    expect(buffers.peak - buffers.bytes).toBe(plan.staging)
    const requests = vi.spyOn(buffers, "request")
    // The whole context in one step, which changes logits.
    await generated(scheduler, new Uint32Array(18).fill(5), { temperature: 0, logit_bias: { 7: 1 }, max_tokens: 1 })
    const reading = requests.mock.calls.filter(([label]) => label === "reading").length
    expect(reading).toBeLessThanOrEqual(backend.replaysAhead)
    const { weights, caches, working, total } = plan
    expect(buffers.bytes).toBe(weights + caches + working + reading * 256)
    expect(buffers.peak).toBeLessThanOrEqual(total)
    await close()
    await checkpoint.close()
  })

  it("has room for the steps of several sequences, however their rows come together", async () => {
    const { checkpoint, model } = await openFixture("clamped", "mlx-q8")
    const backend = createBackend()
    const requests = vi.spyOn(Buffers.prototype, "request")
    const mostAtOnce = () => {
      const sizes = requests.mock.calls.flatMap(([label, size]) => (label === "intermediate values" ? [size] : []))
      requests.mockClear()
      return Math.max(...sizes)
    }
    const room = { max_context: 20, sequences: 3, max_sequences: 3 }
    await planMemory(model, backend, { ...room, format: backend.kvFormats[0] })
    const planned = mostAtOnce()
    const { scheduler, close } = schedulerOf(model, backend, room)
    const options = { temperature: 1, logit_bias: { 7: 1 } }
    await Promise.all([18, 18, 18].map((length) => generated(scheduler, new Uint32Array(length).fill(length), options)))
    const taken = mostAtOnce()
    requests.mockRestore()
    expect(taken).toBeGreaterThan(0)
    expect(taken).toBeLessThanOrEqual(planned)
    await close()
    await checkpoint.close()
  })

  it("counts the caches of a batch", async () => {
    const checkpoint = await openCheckpoint(nodeDirectory(tiny))
    const backend = createBackend()
    const model = await loadGptOss(checkpoint)
    const needs = { format: backend.kvFormats[0], max_context: 100 }
    const [alone, batch] = [
      await planMemory(model, backend, needs),
      await planMemory(model, backend, { ...needs, sequences: 3 }),
    ]
    expect(batch).toMatchObject({ weights: alone.weights, staging: alone.staging, sequences: 3 })
    expect(batch.caches).toBeGreaterThanOrEqual(3 * alone.caches)
    await checkpoint.close()
  })

  it("refuses caches that no binding holds, and says how much fits", async () => {
    const backend = createBackend()
    const maxBinding = 2 ** 20
    const limited = Object.assign(Object.create(backend) as WebGpuBackend, {
      gpu: Object.assign(Object.create(backend.gpu), { features: { ...backend.gpu.features, maxBinding } }),
    })
    const refused = loadModel(tiny, { backend: limited, max_context: 5000 })
    await expect(refused).rejects.toThrow(MemoryLimitError)
    // Pages of 64 tokens, two heads, 64 elements in two bytes: 79 of all tokens beside 34 of a window and a chunk.
    await expect(refused).rejects.toThrow(
      "the pool of keys and values of 5000 tokens takes 1.59 MB in one array, and the device holds caches in arrays of at " +
        "most 1.05 MB: lower the context (up to 2944 tokens fit) or choose another device",
    )
  })

  it("is in the one error of a device with less memory, and all is freed", async () => {
    const backend = createBackend()
    const resident = memoryStats().resident
    const device = limitDevice(backend.gpu.device, 4)
    const error = await loadModel(tiny, { backend, max_context: 1000 }).catch((error: Error) => error)
    device.restore()
    expect(error).toBeInstanceOf(MemoryLimitError)
    const { message, plan } = error as MemoryLimitError
    expect(message).toMatch(
      new RegExp(
        `^${backend.gpu.description} is out of memory: there is no room for (keys|values)\\.\\d, 524 kB, beside .+ in 4 buffers\\. ` +
          "In all the model takes .+: weights .+, caches of 1000 tokens .+, intermediate values of up to 64 sequences at once .+, buffers for loading .+: " +
          "lower the context or choose a smaller model or another device$",
      ),
    )
    expect(plan.max_context).toBe(1000)
    expect({ asked: device.asked, uncaptured: device.uncaptured, left: backend.memory.buffers.bytes }).toEqual({
      asked: 5,
      uncaptured: 0,
      left: 0,
    })
    expect(memoryStats().resident).toEqual(resident)
    await backend.gpu.settle()
  })
})
