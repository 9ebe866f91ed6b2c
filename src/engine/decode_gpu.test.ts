import { afterAll, beforeAll, expect, it, vi } from "vitest"
import { describeWithGpu } from "../../test/backends/webgpu/test_gpu.js"
import { openFixture } from "../../test/models/fixtures.js"
import { BatchRunner } from "./batch_runner.js"
import { damagedFrom } from "../../test/engine/damaged_model.js"
import { LogitsError } from "./errors.js"
import { Generation, type GenerationOptions } from "./generation.js"
import type { Draw } from "./model_runner.js"
import { Runner } from "./runner.js"
import { Session } from "./session.js"

const greedy: Draw = { temperature: 0, uniform: () => 0 }

/** Where steps really are under way together: a queue that runs on while the host goes ahead. */
await describeWithGpu("decoding on the GPU", {}, (gpu, createBackend) => {
  let fixture: Awaited<ReturnType<typeof openFixture>>
  beforeAll(async () => {
    fixture = await openFixture("clamped", "mlx-q8")
  })
  afterAll(() => fixture.checkpoint.close())

  const runner = (steps_ahead?: number) =>
    new Runner(fixture.model, createBackend(), { prefill_chunk: 64, max_context: 400, steps_ahead })

  async function generate(session: Session, prompt: number[], leave: number, options: GenerationOptions) {
    const tokens: number[] = []
    for await (const { token } of new Generation(session, prompt, new Set(), options)) {
      if (tokens.push(token) === leave) break
    }
    return { tokens, held: [...session.tokens] }
  }

  it("gives what the host draws, also after a run left early and over the growth of the caches", async () => {
    const [device, host] = [new Session(runner()), new Session(runner(1))]
    expect([device.runner.decode !== undefined, host.runner.decode !== undefined]).toEqual([true, false])
    // The caches have room for 256 tokens at first: the second run passes that with steps under way.
    const prompt = Array.from({ length: 247 }, (_, i) => (i * 37 + 11) % 97)
    const first = await generate(device, prompt, 3, { temperature: 0 })
    expect(first).toEqual(await generate(host, prompt, 3, { temperature: 0 }))
    const next = [...prompt, ...first.tokens, 5]
    const options = { temperature: 0.8, seed: 7 }
    expect(await generate(device, next, 9, options)).toEqual(await generate(host, next, 9, options))
  })

  it.each([0, 1])("refuses logits nobody can draw from when their turn comes: temperature %i", async (temperature) => {
    const damaged = new Runner(damagedFrom(4, fixture.model), createBackend(), { max_context: 64 })
    const draw: Draw = { temperature, uniform: () => 0.5 }
    const tokens: number[] = []
    const run = async () => {
      for await (const id of damaged.decode!(Uint32Array.of(1, 2), { draw, limit: 9 })) tokens.push(id)
    }
    await expect(run()).rejects.toThrow(LogitsError)
    expect(tokens).toHaveLength(3)
    expect(damaged.length).toBe(4)
  })

  it("stops between the chunks of a prompt when told to while they run", async () => {
    const session = new Session(runner())
    const prompt = Array.from({ length: 256 }, (_, i) => (i * 37 + 11) % 97)
    // With everything compiled nothing else gives way to events.
    await generate(session, prompt, 1, { temperature: 0 })
    session.reset()
    const stop = new AbortController()
    const onProgress = () => void setTimeout(() => stop.abort())
    const stopped = generate(session, prompt, 1, { temperature: 0, signal: stop.signal, onProgress })
    await expect(stopped).rejects.toMatchObject({ name: "AbortError" })
    expect([64, 128]).toContain(session.tokens.length)
  })

  it("compiles no program and no pipeline for a prompt of a new length, but for the first of its class", async () => {
    const { checkpoint, model } = await openFixture("tied", "hf")
    const backend = createBackend()
    const runner = new Runner(model, backend, { prefill_chunk: 16, max_context: 100 })
    const ask = async (length: number) => {
      runner.reset()
      const prompt = Uint32Array.from({ length }, (_, i) => (i * 37 + 11) % 97)
      for await (const _ of runner.decode!(prompt, { draw: greedy, limit: 1 }));
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
    runner.dispose()
    await checkpoint.close()
  })

  it("gives each sequence of a batch what it gets alone", async () => {
    const alone = runner()
    const prompts = [[1, 2, 3], [9], [20, 30, 40]]
    const batch = new BatchRunner(fixture.model, createBackend(), { sequences: 3, max_context: 32 })
    const rows: Uint32Array[] = [new Uint32Array(3)]
    for (const [s, prompt] of prompts.entries()) rows[0][s] = await batch.prefill(s, Uint32Array.from(prompt), greedy)
    for await (const ids of batch.decode(rows[0], 8, greedy)) if (rows.push(ids) === 3) break
    for await (const ids of batch.decode(rows[2], 2, greedy)) rows.push(ids)
    for (const [s, prompt] of prompts.entries()) {
      alone.reset()
      const expected: number[] = []
      for await (const id of alone.decode!(Uint32Array.from(prompt), { draw: greedy, limit: 5 })) expected.push(id)
      expect(rows.map((ids) => ids[s])).toEqual(expected)
    }
    batch.dispose()
  })
})
