import { getEventListeners } from "node:events"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Backend } from "../backends/backend.js"
import { createCpuBackend } from "../backends/cpu/node_cpu.js"
import { ReferenceBackend } from "../backends/reference/backend.js"
import { openFixture } from "../../test/models/fixtures.js"
import { damagedFrom } from "../../test/engine/damaged_model.js"
import { generated, type Setting, schedulerOf } from "../../test/engine/scheduling.js"
import { ContextLengthError, LogitsError } from "./errors.js"
import { Generation, type GenerationOptions } from "./generation.js"
import { Session } from "./session.js"
import type { CausalLM } from "./step.js"

const ids = (maxLength: number) => fc.array(fc.nat({ max: 96 }), { minLength: 1, maxLength })
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })

/** Draws that need not know the tokens before, so that steps run ahead. */
const forward = {
  temperature: fc.constantFrom(0, 0.7, 1.5),
  top_k: fc.constantFrom(0, 1, 5, 40),
  top_p: fc.constantFrom(1, 0.9, 0.3),
  min_p: fc.constantFrom(0, 0.05),
  seed: fc.nat(),
}

const looking = fc.record({
  ...forward,
  repetition_penalty: fc.constantFrom(1, 1.3, 0.8),
  repetition_context_size: optional(fc.integer({ min: 1, max: 20 })),
  frequency_penalty: fc.constantFrom(0, 0.5, -1),
  presence_penalty: fc.constantFrom(0, 0.7),
  logit_bias: fc.dictionary(fc.nat({ max: 96 }).map(String), fc.integer({ min: -100, max: 100 }), { maxKeys: 4 }),
})

const sampling: fc.Arbitrary<GenerationOptions> = fc.oneof(fc.record(forward), looking)

const ending = fc.record({
  max_tokens: optional(fc.integer({ min: 1, max: 12 })),
  stops: fc.array(fc.nat({ max: 96 }), { maxLength: 12 }),
  leave: optional(fc.integer({ min: 1, max: 6 })),
})

describe.each<[string, number, () => Promise<Backend>]>([
  ["cpu", 12, () => createCpuBackend({ threads: 1 })],
  ["reference", 2, async () => new ReferenceBackend()],
])("a generation on a model: %s", (_name, numRuns, open) => {
  let backend: Backend
  let fixture: Awaited<ReturnType<typeof openFixture>>
  const closing: (() => Promise<void>)[] = []
  beforeAll(async () => {
    backend = await open()
    fixture = await openFixture("clamped", "mlx-q8")
  })
  afterAll(async () => {
    for (const close of closing) await close()
    await backend.close()
    await fixture.checkpoint.close()
  })

  function setup(setting: Setting = {}, model: CausalLM = fixture.model) {
    const opened = schedulerOf(model, backend, {
      max_context: 64,
      sequences: 4,
      prefill_chunk: 8,
      max_sequences: 4,
      ...setting,
    })
    closing.push(opened.close)
    return opened
  }

  it("gives what the host draws, whatever ends it", async () => {
    const { scheduler, store } = setup({ steps_ahead: 4 })
    const options = fc.tuple(sampling, ending).map(([how, end]): GenerationOptions => ({ ...how, ...end }))
    await fc.assert(
      fc.asyncProperty(ids(20), options, async (prompt, options) => {
        const onDevice = await generated(scheduler, prompt, options)
        store.clear()
        // The host draws where more is asked than the token.
        expect(await generated(scheduler, prompt, { ...options, logprobs: true })).toEqual(onDevice)
        store.clear()
      }),
      { numRuns: 3 * numRuns },
    )
  }, 60_000)

  it("gives with steps ahead what one step at a time gives, and goes on alike from what was computed before", async () => {
    const [ahead, one] = [setup({ steps_ahead: 4 }), setup({ steps_ahead: 1 })]
    const request = fc.record({ prompt: ids(20), keep: fc.boolean(), options: fc.tuple(sampling, ending) })
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 4 }), async (requests) => {
        let said: number[] = []
        for (const { prompt, keep, options } of requests) {
          const whole = keep && said.length + prompt.length < 60 ? [...said, ...prompt] : prompt
          const given = { ...options[0], ...options[1] }
          const { cached_tokens, ...expected } = await generated(one.scheduler, whole, given)
          const found = await generated(ahead.scheduler, whole, given)
          expect(found).toEqual({ ...expected, cached_tokens: found.cached_tokens })
          expect(cached_tokens).toBeLessThan(whole.length)
          if (keep && whole.length > prompt.length) expect(found.cached_tokens).toBeGreaterThanOrEqual(said.length - 1)
          one.store.clear()
          said = [...whole, ...expected.tokens]
        }
      }),
      { numRuns },
    )
  }, 60_000)

  it("fills the context to its last token and no further", async () => {
    const { scheduler } = setup({ max_context: 20 })
    const full = await generated(scheduler, [1, 2, 3, 4], { temperature: 0 })
    expect(full).toMatchObject({ finish_reason: "length", completion_tokens: 16 })
    expect((await generated(scheduler, new Uint32Array(19), { temperature: 0 })).completion_tokens).toBe(1)
    const tooLong = generated(scheduler, new Uint32Array(20), { temperature: 0 })
    await expect(tooLong).rejects.toThrow(new ContextLengthError(21, 20))
  })

  it("runs nothing of a prompt that is empty, too long or has ids beyond the vocabulary", async () => {
    const { scheduler, store } = setup({ max_context: 20 })
    const { vocab_size } = scheduler
    for (const prompt of [[], new Uint32Array(20), [1, vocab_size], [-1], [0.5]]) {
      await expect(generated(scheduler, prompt, {})).rejects.toThrow(/prompt|context/)
    }
    expect(store.stats().asked_tokens).toBe(0)
  })

  it("stops when asked with the signal's reason, and keeps what was computed", async () => {
    const { scheduler } = setup({ steps_ahead: 4 })
    const prompt = Array.from({ length: 20 }, (_, i) => i)
    const stop = new AbortController()
    const reason = new Error("changed my mind")
    const seen: number[] = []
    const run = async () => {
      const generation = new Generation(scheduler, prompt, new Set(), { temperature: 0, signal: stop.signal })
      for await (const { token } of generation) if (seen.push(token) === 3) stop.abort(reason)
    }
    await expect(run()).rejects.toBe(reason)
    expect(seen).toHaveLength(3)
    const options = { temperature: 0, max_tokens: 3 }
    const after = await generated(scheduler, [...prompt, ...seen], options)
    expect(after.cached_tokens).toBeGreaterThanOrEqual(prompt.length + 2)
    expect(after.tokens).toEqual((await generated(setup().scheduler, [...prompt, ...seen], options)).tokens)
  })

  it("tells how far the prompt is, and stops between its chunks, which stay", async () => {
    const { scheduler } = setup({ steps_ahead: 4 })
    const prompt = Array.from({ length: 30 }, (_, i) => i)
    const stop = new AbortController()
    const seen: [number, number][] = []
    const onProgress = (done: number, total: number) => {
      seen.push([done, total])
      if (done >= 16) stop.abort()
    }
    const options = { temperature: 0, signal: stop.signal, onProgress }
    await expect(generated(scheduler, prompt, options)).rejects.toMatchObject({ name: "AbortError" })
    expect(seen).toEqual([
      [8, 30],
      [16, 30],
    ])
    expect((await generated(scheduler, prompt, { max_tokens: 1 })).cached_tokens).toBe(16)
  })

  it.each([0, 1])("refuses logits nobody can draw from when their turn comes: temperature %i", async (temperature) => {
    const options = { temperature, seed: 1, max_tokens: 9 }
    for (const more of [{}, { logprobs: true }, { logit_bias: { 3: 1 } }]) {
      const { scheduler } = setup({ steps_ahead: 4 }, damagedFrom(4, fixture.model))
      const tokens: number[] = []
      const run = async () => {
        for await (const { token } of new Generation(scheduler, [1, 2], new Set(), { ...options, ...more })) {
          tokens.push(token)
        }
      }
      // Those whose rows come in the same steps are none the worse.
      const others = [[9], [8]].map((prompt) => generated(scheduler, prompt, { temperature, seed: 1, max_tokens: 4 }))
      await expect(run()).rejects.toThrow(LogitsError)
      expect(tokens).toHaveLength(3)
      for (const other of others) expect((await other).tokens).toHaveLength(4)
      expect((await generated(scheduler, [1, 2, 3], { ...options, max_tokens: 2 })).tokens).toHaveLength(2)
    }
  })

  it("leaves no listener at a signal, nor at the session's", async () => {
    const { scheduler } = setup()
    const { signal } = new AbortController()
    const session = new Session(scheduler, scheduler.max_context)
    await generated(session, [1, 2], { max_tokens: 3, signal })
    await generated(session, [1, 2], { leave: 1, signal })
    await expect(generated(session, [1, 2, 99_999], { signal })).rejects.toThrow("prompt.2")
    expect(getEventListeners(signal, "abort")).toEqual([])
  })
})

describe("when a step fails", () => {
  it("everything under way ends with its error, reported once, and new requests run", async () => {
    const backend = new ReferenceBackend()
    const fixture = await openFixture("clamped", "mlx-q8")
    const { scheduler, store, close } = schedulerOf(fixture.model, backend, {
      max_context: 64,
      sequences: 2,
      steps_ahead: 4,
    })
    const compile = backend.compile.bind(backend)
    let replays = 0
    backend.compile = async (program, options) => {
      const executable = await compile(program, options)
      const replay = executable.replay.bind(executable)
      executable.replay = async (inputs) => {
        if (++replays === 4) throw new Error("the device is lost")
        return replay(inputs)
      }
      return executable
    }
    const ask = (prompt: number[]) => generated(scheduler, prompt, { temperature: 0, max_tokens: 9 })
    const outcomes = await Promise.allSettled([ask([1, 2, 3]), ask([4, 5])])
    expect(outcomes.map((outcome) => (outcome.status === "rejected" ? outcome.reason.message : "no error"))).toEqual([
      "the device is lost",
      "the device is lost",
    ])
    expect(store.stats()).toMatchObject({ used: 0, cached: 0 })
    expect((await ask([1, 2, 3])).tokens).toHaveLength(9)
    await close()
    await fixture.checkpoint.close()
  })
})
