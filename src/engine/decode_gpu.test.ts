import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest"
import { describeWithGpu } from "../../test/backends/webgpu/test_gpu.js"
import { openFixture } from "../../test/models/fixtures.js"
import { damagedFrom } from "../../test/engine/damaged_model.js"
import { generated, type Setting, schedulerOf } from "../../test/engine/scheduling.js"
import { LogitsError } from "./errors.js"
import { Generation } from "./generation.js"
import type { CausalLM } from "./step.js"

/** Where steps really are under way together: a queue that runs on while the host goes ahead. */
await describeWithGpu("decoding on the GPU", {}, (gpu, createBackend) => {
  let fixture: Awaited<ReturnType<typeof openFixture>>
  const closing: (() => Promise<void>)[] = []
  beforeAll(async () => {
    fixture = await openFixture("clamped", "mlx-q8")
  })
  afterEach(async () => {
    for (const close of closing.splice(0)) await close()
  })
  afterAll(() => fixture.checkpoint.close())

  const setup = (setting: Setting = {}, model: CausalLM = fixture.model, backend = createBackend()) => {
    const opened = schedulerOf(model, backend, { prefill_chunk: 64, max_context: 400, max_sequences: 4, ...setting })
    closing.push(opened.close)
    return opened
  }
  const promptOf = (length: number) => Array.from({ length }, (_, i) => (i * 37 + 11) % 97)

  it("gives what the host draws and what one step at a time gives, also after an answer left early", async () => {
    const [device, one] = [setup(), setup({ steps_ahead: 1 })]
    const prompt = promptOf(247)
    const first = await generated(device.scheduler, prompt, { temperature: 0, leave: 3 })
    expect(first).toEqual(await generated(one.scheduler, prompt, { temperature: 0, leave: 3 }))
    const next = [...prompt, ...first.tokens, 5]
    const options = { temperature: 0.8, top_p: 0.9, repetition_penalty: 1.1, seed: 7, max_tokens: 9 }
    const { tokens } = await generated(device.scheduler, next, options)
    expect((await generated(one.scheduler, next, options)).tokens).toEqual(tokens)
    expect((await generated(one.scheduler, next, { ...options, logprobs: true })).tokens).toEqual(tokens)
  })

  it.each([0, 1])("refuses logits nobody can draw from when their turn comes: temperature %i", async (temperature) => {
    const { scheduler } = setup({ max_context: 64, sequences: 2 }, damagedFrom(4, fixture.model))
    const options = { temperature, seed: 1 }
    const tokens: number[] = []
    const run = async () => {
      for await (const { token } of new Generation(scheduler, [1, 2], new Set(), options)) tokens.push(token)
    }
    const other = generated(scheduler, [9], { ...options, max_tokens: 4 })
    await expect(run()).rejects.toThrow(LogitsError)
    expect(tokens).toHaveLength(3)
    expect((await other).tokens).toHaveLength(4)
  })

  it("stops between the chunks of a prompt when told to while they run", async () => {
    const { scheduler, store } = setup()
    const prompt = promptOf(256)
    // With everything compiled nothing else gives way to events.
    await generated(scheduler, prompt, { temperature: 0, leave: 1 })
    store.clear()
    const stop = new AbortController()
    const onProgress = () => void setTimeout(() => stop.abort())
    const stopped = generated(scheduler, prompt, { temperature: 0, signal: stop.signal, onProgress })
    await expect(stopped).rejects.toMatchObject({ name: "AbortError" })
    expect([64, 128]).toContain((await generated(scheduler, prompt, { temperature: 0, leave: 1 })).cached_tokens)
  })

  it("compiles no program and no pipeline for a prompt of a new length, but for the first of its class", async () => {
    const { checkpoint, model } = await openFixture("tied", "hf")
    const backend = createBackend()
    const { scheduler, store } = setup({ prefill_chunk: 16, max_context: 100 }, model, backend)
    const ask = async (length: number) => {
      store.clear()
      await generated(scheduler, promptOf(length), { temperature: 0, max_tokens: 1 })
    }
    // Up to 8 tokens, and up to a chunk.
    for (const length of [7, 12]) await ask(length)
    const compile = vi.spyOn(backend, "compile")
    const build = vi.spyOn(gpu.device, "createComputePipelineAsync")
    for (const length of [5, 8, 9, 16]) await ask(length)
    expect([compile.mock.calls.length, build.mock.calls.length]).toEqual([0, 0])
    // The first whole chunk that more follows.
    await ask(24)
    expect(compile.mock.calls.length).toBe(1)
    for (const spy of [compile, build]) spy.mockRestore()
    await checkpoint.close()
  })

  it("gives each of several sequences what it gets alone", async () => {
    const { scheduler, store } = setup({ max_context: 64, sequences: 3 })
    const prompts = [[1, 2, 3], [9], promptOf(20)]
    const ask = (prompt: number[]) => generated(scheduler, prompt, { temperature: 0, max_tokens: 8 })
    const together = await Promise.all(prompts.map(ask))
    for (const [i, prompt] of prompts.entries()) {
      store.clear()
      expect((await ask(prompt)).tokens).toEqual(together[i].tokens)
    }
  })
})
