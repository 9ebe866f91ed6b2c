import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import * as mx from "../array/mx.js"
import { openFixture } from "../../test/models/fixtures.js"
import type { Backend } from "../backends/backend.js"
import { createCpuBackend } from "../backends/cpu/node_cpu.js"
import { KvCapacityError } from "../cache/kv_errors.js"
import { KvStore } from "../cache/kv_store.js"
import type { KvFormat } from "../tensor/kv_format.js"
import { Drafts } from "./drafts.js"
import { DeadlineError, LogitsError, QueueFullError } from "./errors.js"
import { parseSamplingParams, type SamplingOptions } from "./sampling/params.js"
import { Scheduler, type SchedulerOptions } from "./scheduler.js"
import { Sequence, type SequenceRequest } from "./sequence.js"
import type { CausalLM } from "./step.js"
import type { TokenMask } from "../text/messages.js"

const PAGE_SIZE = 4
const VOCAB_SIZE = 97
const MAX_CONTEXT = 48

interface Setting extends SchedulerOptions {
  readonly max_context?: number
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
  /** Of the mask that its tokens are drawn with. */
  readonly mask?: number
}

/**
 * Allows other tokens after every few of its turns, in every other part after every token.
 *
 * @param isTold whether it says when it is steady
 */
function maskOf(seed: number, isTold: boolean): TokenMask {
  let [parts, taken] = [0, 0]
  const isSteady = () => parts % 2 === 0
  const turns = () => new Set([3, 4, 5, 6].map((step) => (seed + parts * 11 + step * 17) % VOCAB_SIZE))
  return {
    allowed: () => {
      const state = isSteady() ? parts : taken
      const words = new Uint32Array(Math.ceil(VOCAB_SIZE / 32))
      for (let id = 0; id < VOCAB_SIZE; id++) {
        const isIn = turns().has(id) || Math.imul(id + 1, seed * 2 + state * 40_503 + 1) % 5 === 0
        if (isIn) words[id >> 5] |= 1 << (id & 31)
      }
      return words
    },
    get steadyUntil() {
      return isTold && isSteady() ? turns() : null
    },
    accept: (token) => {
      taken++
      if (!isSteady() || turns().has(token)) parts++
    },
  }
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

function open(
  { pages = 200, format = "float32", max_context = MAX_CONTEXT, ...options }: Setting = {},
  model: CausalLM = fixture.model,
) {
  const store = new KvStore(model.layers, { size: { pages }, max_context, format, page_size: PAGE_SIZE })
  const scheduler = new Scheduler(model, backend, store, { prefill_chunk: 8, max_sequences: 4, ...options })
  const close = async () => {
    await scheduler.close()
    for (const storage of store.storages) storage.dispose()
  }
  return { store, scheduler, close }
}

function request({ prompt, max_tokens, sampling, stops, mask }: Omit<Wish, "delay">, isTold = true): SequenceRequest {
  return {
    prompt,
    max_tokens,
    params: parseSamplingParams(sampling),
    stopTokens: new Set(stops),
    mask: mask === undefined ? undefined : maskOf(mask, isTold),
  }
}

/** The tokens that a wish gives, as far as they are asked for. */
async function tokensOf(scheduler: Scheduler, wish: Omit<Wish, "delay">, isTold = true): Promise<number[]> {
  const tokens: number[] = []
  const { events } = scheduler.submit(request(wish, isTold))
  for await (const { token } of events.read()) if (tokens.push(token) === wish.leave) break
  return tokens
}

/** What each wish gives when it is alone, and nothing is drawn ahead with a mask. */
async function alone(wishes: readonly Wish[], format?: KvFormat): Promise<number[][]> {
  const results: number[][] = []
  for (const wish of wishes) {
    const { scheduler, close } = open({ format })
    results.push(await tokensOf(scheduler, wish, false))
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
  mask: fc.option(fc.nat({ max: 1000 }), { nil: undefined }),
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
        fc.constantFrom<KvFormat>("float32", "float32", "int8", "int4"),
        async (wishes, pages, steps_ahead, prefill_chunk, swap_memory, format) => {
          const expected = await alone(wishes, format)
          const { store, scheduler, close } = open({ pages, steps_ahead, prefill_chunk, swap_memory, format })
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
      { numRuns: 60, endOnFailure: true },
    )
  })

  it("draws what it draws without drafts, however much of them comes true", async () => {
    let drafted = 0
    await fc.assert(
      fc.asyncProperty(
        wish,
        fc.constantFrom(16, 200),
        fc.constantFrom(1, 3),
        fc.nat(4),
        async (wish, pages, steps_ahead, right) => {
          const [expected] = await alone([wish])
          const areWorthIt = vi.spyOn(Drafts.prototype, "areWorth").mockReturnValue(true)
          const next = vi.spyOn(Drafts.prototype, "next").mockImplementation((tokens) => {
            const at = tokens.length - wish.prompt.length
            drafted++
            return [0, 1, 2].map((i) => (i < right ? (expected[at + i] ?? 5) : 5))
          })
          const { store, scheduler, close } = open({ pages, steps_ahead })
          expect(await tokensOf(scheduler, wish)).toEqual(expected)
          for (const spy of [areWorthIt, next]) spy.mockRestore()
          expect(store.stats().used).toBe(0)
          await close()
        },
      ),
      { numRuns: 40, endOnFailure: true },
    )
    expect(drafted).toBeGreaterThan(40)
  })

  it("runs steps ahead in a batch, where nothing is drafted", async () => {
    const areWorth = vi.spyOn(Drafts.prototype, "areWorth").mockReturnValue(true)
    const nextIds = vi.spyOn(Sequence.prototype, "nextIds")
    const { scheduler, close } = open({ steps_ahead: 3 })
    const wishes = [3, 50].map((start) => ({ ...plain, max_tokens: 12, prompt: some(4, start) }))
    await Promise.all(wishes.map((wish) => tokensOf(scheduler, wish)))
    // Rows that take their id from where the step before drew it.
    const fromLanes = nextIds.mock.results.filter(({ value }) => "lane" in value)
    expect(fromLanes.length).toBeGreaterThanOrEqual(8)
    for (const spy of [areWorth, nextIds]) spy.mockRestore()
    await close()
  })

  const some = (length: number, first = 1) => Array.from({ length }, (_, i) => (first + 7 * i) % 97)
  const plain = { max_tokens: 4, sampling: { temperature: 0 }, stops: [] }

  it("computes what prompts have in common once, also when they come together", async () => {
    const { scheduler, close } = open()
    const submit = () => scheduler.submit(request({ ...plain, prompt: some(41) }))
    const sequences = [submit(), submit(), submit()]
    const found = await Promise.all(sequences.map(({ events }) => tokensIn(events)))
    expect(found[1]).toEqual(found[0])
    expect(found[2]).toEqual(found[0])
    expect(sequences.map(({ cached_tokens }) => cached_tokens)).toEqual([0, 40, 40])
    await close()
  })

  it("computes the new tokens of a turn alone, and after a cut in the middle what comes after it", async () => {
    const { scheduler, close } = open({ pages: 400, max_context: 128 })
    let history = some(6)
    for (let turn = 0; turn < 20; turn++) {
      const sequence = scheduler.submit(request({ ...plain, max_tokens: 2, prompt: history }))
      const answer = await tokensIn(sequence.events)
      // The last token of an answer is drawn, not computed.
      if (turn > 0) expect(sequence.cached_tokens).toBe(history.length - 4)
      history = [...history, ...answer, ...some(3, turn)]
    }
    const cut = [...history.slice(0, 21), ...history.slice(24)]
    const sequence = scheduler.submit(request({ ...plain, max_tokens: 1, prompt: cut }))
    const [token] = await tokensIn(sequence.events)
    expect(sequence.cached_tokens).toBeGreaterThanOrEqual(20)
    const fresh = open({ pages: 400, max_context: 128 })
    expect([token]).toEqual(await tokensOf(fresh.scheduler, { ...plain, max_tokens: 1, prompt: cut }))
    await Promise.all([close(), fresh.close()])
  })

  it("gives a short prompt behind a long one its first token within three chunks", async () => {
    const { scheduler, close } = open({ prefill_chunk: 4 })
    let chunks = 0
    const long = scheduler.submit({ ...request({ ...plain, prompt: some(44) }), onProgress: () => chunks++ })
    const short = scheduler.submit(request({ ...plain, prompt: some(3, 50) }))
    await short.events.read().next()
    expect(chunks).toBeLessThanOrEqual(3)
    await Promise.all([tokensIn(long.events), tokensIn(short.events)])
    await close()
  })

  it("admits by priority, then in order", async () => {
    const { scheduler, close } = open({ max_sequences: 1 })
    const ended: string[] = []
    const run = async (name: string, priority: number, start: number) => {
      await tokensIn(scheduler.submit({ ...request({ ...plain, prompt: some(3, start) }), priority }).events)
      ended.push(name)
    }
    await Promise.all([run("first", 0, 1), run("second", 0, 2), run("urgent", 5, 3), run("third", 0, 4)])
    expect(ended).toEqual(["first", "urgent", "second", "third"])
    await close()
  })

  it("refuses what finds no place in the queue, and what no pool of this size could hold, saying what would fit", async () => {
    const { scheduler, close } = open({ max_sequences: 1, max_queue: 1, pages: 12 })
    const waiting = scheduler.submit(request({ ...plain, prompt: some(3) }))
    expect(() => scheduler.submit(request({ ...plain, prompt: some(3) }))).toThrow(QueueFullError)
    await tokensIn(waiting.events)
    const large = () => scheduler.submit(request({ ...plain, prompt: some(44) }))
    expect(large).toThrow(KvCapacityError)
    expect(large).toThrow(/: \d+ tokens would;/)
    expect(await tokensOf(scheduler, { ...plain, prompt: some(3) })).toHaveLength(4)
    await close()
  })

  it("ends what takes too long, what is aborted, and everything when it is closed, each with its reason", async () => {
    const { store, scheduler, close } = open({ max_sequences: 1 })
    const endless = request({ ...plain, max_tokens: 40, prompt: some(3) })
    const late = scheduler.submit({ ...endless, timeout: 1 })
    await new Promise((resolve) => setTimeout(resolve, 30))
    await expect(tokensIn(late.events)).rejects.toThrow(DeadlineError)
    const controller = new AbortController()
    const aborted = scheduler.submit({ ...endless, signal: controller.signal })
    const reader = aborted.events.read()
    await reader.next()
    const again = scheduler.submit({ ...endless, signal: controller.signal })
    controller.abort(new Error("enough"))
    const rest = async () => {
      for await (const _ of reader);
    }
    await expect(rest()).rejects.toThrow("enough")
    await expect(tokensIn(again.events)).rejects.toThrow("enough")
    const last = scheduler.submit(endless)
    const reading = expect(tokensIn(last.events)).rejects.toThrow("closed")
    await scheduler.close()
    await reading
    expect(store.stats().used).toBe(0)
    expect(() => scheduler.submit(endless)).toThrow("closed")
    await close()
  })

  it("stops drawing for a reader that does not read, and goes on when it does", async () => {
    const { scheduler, close } = open()
    const sequence = scheduler.submit(request({ ...plain, max_tokens: 40, prompt: some(3) }))
    await vi.waitUntil(() => sequence.events.length >= 16)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(sequence.drawn).toBeLessThanOrEqual(17)
    expect(await tokensIn(sequence.events)).toHaveLength(40)
    await close()
  })

  it.each([false, true])(
    "draws none but what a mask allows, also where the host draws: logprobs %s",
    async (logprobs) => {
      const { scheduler, close } = open()
      const taken: number[] = []
      const mask = { allowed: () => Uint32Array.of(0, 0b1010, 0, 0), accept: (token: number) => taken.push(token) }
      const sampling = { temperature: 1, seed: 3, logprobs }
      const sequence = scheduler.submit({ ...request({ ...plain, max_tokens: 12, sampling, prompt: some(3) }), mask })
      const tokens = await tokensIn(sequence.events)
      expect(new Set(tokens)).toEqual(new Set([33, 35]))
      expect(taken).toEqual(tokens)
      await close()
    },
  )

  it("draws ahead while a mask is steady, and again what it drew with one that changed", async () => {
    const { scheduler, close } = open({ steps_ahead: 3 })
    const wish = { ...plain, max_tokens: 40, sampling: { temperature: 1.3, seed: 5 }, prompt: some(3), mask: 7 }
    const told = request(wish)
    const { allowed } = told.mask!
    const pending: number[] = []
    vi.spyOn(told.mask!, "allowed").mockImplementation(() => {
      pending.push(sequence.pending)
      return allowed()
    })
    const sequence: Sequence = scheduler.submit(told)
    const tokens = await tokensIn(sequence.events)
    expect(Math.max(...pending)).toBe(2)
    expect(sequence.restarts).toBeGreaterThan(3)
    expect([tokens]).toEqual(await alone([{ ...wish, delay: 0 }]))
    await close()
  })

  it("fails a sequence whose logits are not finite, and no other", async () => {
    const { model } = fixture
    const bad = 13
    const table = new Float32Array(model.config.vocab_size).fill(0)
    table[bad] = Number.NaN
    const damaged: CausalLM = {
      config: model.config,
      layers: model.layers,
      forward(ids, positions, pages, wanted) {
        const offsets = mx.embedding(ids, { quantization: null, weight: mx.array(table, [table.length, 1]) })
        return mx.add(model.forward(ids, positions, pages, wanted), wanted ? mx.take(offsets, wanted) : offsets)
      },
    }
    const { scheduler, close } = open({}, damaged)
    const good = { ...plain, prompt: some(5, 40) }
    const [fine, broken] = await Promise.allSettled([
      tokensOf(scheduler, good),
      tokensOf(scheduler, { ...plain, prompt: [4, bad] }),
    ])
    expect(broken).toMatchObject({ status: "rejected", reason: expect.any(LogitsError) })
    expect([(fine as PromiseFulfilledResult<number[]>).value]).toEqual(await alone([{ ...good, delay: 0 }]))
    await close()
  })
})

async function tokensIn(events: Sequence["events"]): Promise<number[]> {
  const tokens: number[] = []
  for await (const { token } of events.read()) tokens.push(token)
  return tokens
}
