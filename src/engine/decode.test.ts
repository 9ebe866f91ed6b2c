import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Backend } from "../backends/backend.js"
import { createCpuBackend } from "../backends/cpu/node_cpu.js"
import { ReferenceBackend } from "../backends/reference/backend.js"
import { openFixture } from "../../test/models/fixtures.js"
import { memoryStats } from "../tensor/storage.js"
import { damagedFrom } from "../../test/engine/damaged_model.js"
import { ContextLengthError, LogitsError } from "./errors.js"
import { Generation, type GenerationOptions } from "./generation.js"
import type { Draw } from "./model_runner.js"
import { Runner, type RunnerOptions } from "./runner.js"
import { Session } from "./session.js"

const greedy: Draw = { temperature: 0, uniform: () => 0 }

describe.each<[string, number, () => Promise<Backend>]>([
  ["cpu", 12, () => createCpuBackend({ threads: 1 })],
  ["reference", 2, async () => new ReferenceBackend()],
])("drawing on the device, steps ahead: %s", (_name, numRuns, open) => {
  let backend: Backend
  let fixture: Awaited<ReturnType<typeof openFixture>>
  beforeAll(async () => {
    backend = await open()
    fixture = await openFixture("clamped", "mlx-q8")
  })
  afterAll(async () => {
    await backend.close()
    await fixture.checkpoint.close()
  })

  const runner = (steps_ahead: number, options: RunnerOptions = {}) =>
    new Runner(fixture.model, backend, { prefill_chunk: 8, max_context: 64, ...options, steps_ahead })

  /** What a generation gives, leaving it after `leave` tokens. */
  async function generate(
    session: Session,
    prompt: number[],
    { stops = [], leave, ...options }: GenerationOptions & { stops?: number[]; leave?: number },
  ) {
    const generation = new Generation(session, prompt, new Set(stops), options)
    const tokens: number[] = []
    for await (const { token } of generation) if (tokens.push(token) === leave) break
    const { finish_reason, cached_tokens, completion_tokens } = generation.summary()
    return { tokens, finish_reason, cached_tokens, completion_tokens, held: [...session.tokens] }
  }

  const ids = (max: number) => fc.array(fc.nat({ max: 96 }), { minLength: 1, maxLength: max })
  const request = fc.record({
    prompt: ids(20),
    keep: fc.boolean(),
    temperature: fc.constantFrom(0, 0.7, 1.5),
    seed: fc.nat(),
    max_tokens: fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined }),
    stops: fc.array(fc.nat({ max: 96 }), { maxLength: 12 }),
    leave: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
  })

  it("gives what the host draws, whatever ends it, and leaves a session that goes on alike", async () => {
    const [device, host] = [runner(4), runner(1)]
    expect([device.decode !== undefined, host.decode !== undefined]).toEqual([true, false])
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 3 }), async (requests) => {
        const sessions = [new Session(device), new Session(host)]
        device.reset()
        host.reset()
        let said: number[] = []
        for (const { prompt, keep, ...options } of requests) {
          const whole = keep && said.length + prompt.length < 60 ? [...said, ...prompt] : prompt
          const [onDevice, onHost] = [
            await generate(sessions[0], whole, options),
            await generate(sessions[1], whole, options),
          ]
          expect(onDevice).toEqual(onHost)
          said = [...whole, ...onDevice.tokens]
        }
      }),
      { numRuns },
    )
  }, 60_000)

  it("fills the context to its last token and no further", async () => {
    const device = runner(4, { max_context: 20 })
    const drawn: number[] = []
    for await (const id of device.decode!(Uint32Array.of(1, 2, 3, 4), { draw: greedy })) drawn.push(id)
    expect(drawn).toHaveLength(17)
    expect(device.length).toBe(20)
    await expect(device.decode!(Uint32Array.of(1), { draw: greedy }).next()).rejects.toThrow(
      new ContextLengthError(21, 20),
    )
  })

  it("stops when asked, and keeps what was said", async () => {
    const session = new Session(runner(4))
    const prompt = Array.from({ length: 20 }, (_, i) => i)
    const stop = new AbortController()
    const seen: number[] = []
    const run = async () => {
      const generation = new Generation(session, prompt, new Set(), { temperature: 0, signal: stop.signal })
      for await (const { token } of generation) if (seen.push(token) === 3) stop.abort()
    }
    await expect(run()).rejects.toMatchObject({ name: "AbortError" })
    expect(seen).toHaveLength(3)
    expect([...session.tokens]).toEqual([...prompt, ...seen.slice(0, 2)])
    const after = await generate(session, [...prompt, ...seen], { temperature: 0, max_tokens: 3 })
    expect(after.cached_tokens).toBe(prompt.length + 2)
    expect(after.tokens).toEqual(
      (await generate(new Session(runner(1)), [...prompt, ...seen], { temperature: 0, max_tokens: 3 })).tokens,
    )
  })

  it("stops between the chunks of a prompt, which stay", async () => {
    const session = new Session(runner(4))
    const prompt = Array.from({ length: 30 }, (_, i) => i)
    const stop = new AbortController()
    const onProgress = (done: number) => done >= 16 && stop.abort()
    const options = { temperature: 0, signal: stop.signal, onProgress }
    await expect(generate(session, prompt, options)).rejects.toMatchObject({ name: "AbortError" })
    expect([...session.tokens]).toEqual(prompt.slice(0, 16))
  })

  it.each([0, 1])(
    "refuses logits nobody can draw from when their turn comes, as the host does: temperature %i",
    async (temperature) => {
      const model = damagedFrom(4, fixture.model)
      const given: number[][] = []
      for (const steps_ahead of [1, 4]) {
        const session = new Session(new Runner(model, backend, { max_context: 64, steps_ahead }))
        const tokens: number[] = []
        const run = async () => {
          const generation = new Generation(session, [1, 2], new Set(), { temperature, seed: 1, max_tokens: 9 })
          for await (const { token } of generation) tokens.push(token)
        }
        await expect(run()).rejects.toThrow(LogitsError)
        given.push(tokens)
      }
      expect(given[0]).toHaveLength(3)
      expect(given[1]).toEqual(given[0])
    },
  )

  it("makes room once for max_tokens, and not for a whole context that nobody asked for", async () => {
    const prompt = [1, 2, 3]
    const device = new Session(runner(4, { max_context: 100_000 }))
    const resident = () => memoryStats().resident[backend.name]
    await generate(device, prompt, { temperature: 0, max_tokens: 2 })
    const small = resident()
    device.reset()
    await generate(device, prompt, { temperature: 0, leave: 2 })
    expect(resident()).toBe(small)
    device.reset()
    await generate(device, prompt, { temperature: 0, max_tokens: 1000, leave: 1 })
    expect(resident()).toBeGreaterThan(small)
  })
})

describe("when a step fails", () => {
  it("holds only tokens that were given or yielded, and reports no failure nobody waits for", async () => {
    const backend = new ReferenceBackend()
    const fixture = await openFixture("clamped", "mlx-q8")
    const device = new Runner(fixture.model, backend, { prefill_chunk: 8, max_context: 64, steps_ahead: 4 })
    const compile = backend.compile.bind(backend)
    let replays = 0
    backend.compile = async (program, options) => {
      const executable = await compile(program, options)
      const replay = executable.replay.bind(executable)
      executable.replay = async (inputs) => {
        if (++replays === 3) throw new Error("the device is lost")
        return replay(inputs)
      }
      return executable
    }
    const session = new Session(device)
    await expect(generateAll(session)).rejects.toThrow("the device is lost")
    // The two steps before the failed one gave tokens, of which the last is not cached.
    expect([...session.tokens]).toEqual([1, 2, 3, expect.any(Number)])
    await fixture.checkpoint.close()
  })

  async function generateAll(session: Session): Promise<void> {
    for await (const _ of new Generation(session, [1, 2, 3], new Set(), { temperature: 0 }));
  }
})
