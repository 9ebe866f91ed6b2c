import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { openFixture } from "../../test/models/fixtures.js"
import type { Backend } from "../backends/backend.js"
import { createCpuBackend } from "../backends/cpu/node_cpu.js"
import { KvCapacityError } from "../cache/kv_errors.js"
import { KvStore } from "../cache/kv_store.js"
import type { KvFormat } from "../tensor/kv_format.js"
import { DeadlineError, QueueFullError } from "./errors.js"
import { parseSamplingParams, type SamplingOptions } from "./sampling/params.js"
import { Scheduler, type SchedulerOptions } from "./scheduler.js"
import type { SequenceRequest } from "./sequence.js"

const PAGE_SIZE = 4
const MAX_CONTEXT = 48

interface Setting extends SchedulerOptions {
  readonly pages?: number
  readonly format?: KvFormat
}

interface Wish {
  readonly prompt: readonly number[]
  readonly max_tokens: number
  readonly sampling: SamplingOptions
  readonly stops: readonly number[]
  /** Steps of the others before it comes. */
  readonly delay: number
  /** Left after so many tokens. */
  readonly leave?: number
}

let backend: Backend
let fixture: Awaited<ReturnType<typeof openFixture>>
beforeAll(async () => {
  backend = await createCpuBackend({ threads: 1 })
  fixture = await openFixture("clamped", "mlx-q8")
})
afterAll(async () => {
  await backend.close()
  await fixture.checkpoint.close()
})

function open({ pages = 200, format = "float32", ...options }: Setting = {}) {
  const { model } = fixture
  const store = new KvStore(model.layers, { size: { pages }, max_context: MAX_CONTEXT, format, page_size: PAGE_SIZE })
  const scheduler = new Scheduler(model, backend, store, { prefill_chunk: 8, max_sequences: 4, ...options })
  const close = async () => {
    await scheduler.close()
    for (const storage of store.storages) storage.dispose()
  }
  return { store, scheduler, close }
}

function request({ prompt, max_tokens, sampling, stops }: Omit<Wish, "delay">): SequenceRequest {
  return { prompt, max_tokens, params: parseSamplingParams(sampling), stopTokens: new Set(stops) }
}

/** The tokens that a wish gives, as far as they are asked for. */
async function tokensOf(scheduler: Scheduler, wish: Omit<Wish, "delay">): Promise<number[]> {
  const tokens: number[] = []
  const { events } = scheduler.submit(request(wish))
  for await (const { token } of events.read()) if (tokens.push(token) === wish.leave) break
  return tokens
}

/** What each wish gives when it is alone. */
async function alone(wishes: readonly Wish[], format?: KvFormat): Promise<number[][]> {
  const results: number[][] = []
  for (const wish of wishes) {
    const { scheduler, close } = open({ format })
    results.push(await tokensOf(scheduler, wish))
    await close()
  }
  return results
}

const token = fc.nat({ max: 96 })
/** Prompts that often begin alike. */
const prompt = fc
  .tuple(
    fc.constantFrom<readonly number[]>([], [5, 6, 7, 8, 9, 10, 11, 12, 13], [5, 6, 7, 8, 9, 20]),
    fc.array(token, { minLength: 1, maxLength: 12 }),
  )
  .map(([start, rest]) => [...start, ...rest])
const wish: fc.Arbitrary<Wish> = fc.record({
  prompt,
  max_tokens: fc.integer({ min: 1, max: 14 }),
  sampling: fc.record({
    temperature: fc.constantFrom(0, 0, 1.3),
    seed: fc.nat(),
    top_p: fc.constantFrom(1, 0.8),
    frequency_penalty: fc.constantFrom(0, 0, 0.7),
    logprobs: fc.constantFrom(false, false, true),
  }),
  stops: fc.array(token, { maxLength: 4 }),
  delay: fc.nat({ max: 6 }),
  leave: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined, freq: 3 }),
})

describe("a scheduler", () => {
  it("gives every sequence what it gives alone, whoever comes, leaves and runs out of pages; then every page is free", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(wish, { minLength: 1, maxLength: 7 }),
        fc.constantFrom(16, 20, 30, 200),
        fc.constantFrom(1, 3),
        fc.constantFrom(4, 8, 30),
        fc.constantFrom(0, 20_000, 1e9),
        async (wishes, pages, steps_ahead, prefill_chunk, swap_memory) => {
          const expected = await alone(wishes)
          const { store, scheduler, close } = open({ pages, steps_ahead, prefill_chunk, swap_memory })
          const found = await Promise.all(
            wishes.map(async (wish) => {
              for (let i = 0; i < wish.delay; i++) await new Promise((resolve) => setImmediate(resolve))
              return tokensOf(scheduler, wish)
            }),
          )
          expect(found).toEqual(expected)
          expect(store.stats().used).toBe(0)
          store.clear()
          expect(store.stats().free).toBe(pages)
          await close()
        },
      ),
      { numRuns: Number(process.env.RUNS ?? 60), timeout: 6000 },
    )
  })
})
