import fc from "fast-check"
import { afterAll, describe, expect, it } from "vitest"
import * as mx from "../../array/mx.js"
import type { Backend } from "../../backends/backend.js"
import { createCpuBackend } from "../../backends/cpu/node_cpu.js"
import { ReferenceBackend } from "../../backends/reference/backend.js"
import { NO_INDEX } from "../../ir/specs/rows.js"
import { run } from "../../../test/backends/conformance/run.js"
import { isRightChoice } from "../../../test/backends/conformance/sampling_rule.js"
import { LogitsError } from "../errors.js"
import { parseSamplingParams, type SamplingParams } from "./params.js"
import { applyCountPenalties, applyLogitBias, applyRepetitionPenalty, TokenHistory } from "./penalties.js"
import { CounterRandom } from "./random.js"
import { Sampler } from "./sampler.js"

/** What the host's sampler chooses from one row, and what a device is given to do the same. */
interface Row {
  readonly logits: Float32Array
  readonly params: SamplingParams
  readonly uniform: number
  readonly entries: readonly Entry[]
  /** After bias and penalties. */
  readonly adjusted: Float32Array
  /** NO_INDEX where the host refuses. */
  readonly token: number
}

interface Entry {
  readonly id: number
  readonly bias: number
  readonly factor: number
  readonly shift: number
}

/** Bias and penalties as entries of `adjust_logits`. */
function entriesOf(params: SamplingParams, history: TokenHistory): Entry[] {
  const { repetition_penalty, repetition_context_size = history.tokens.length } = params
  const context = new Set(history.tokens.slice(-repetition_context_size))
  const ids = new Set([...Object.keys(params.logit_bias).map(Number), ...context, ...history.generated.keys()])
  return [...ids].map((id) => {
    const count = history.generated.get(id)
    return {
      id,
      bias: params.logit_bias[id] ?? 0,
      factor: context.has(id) ? repetition_penalty : 1,
      shift: count ? -(count * params.frequency_penalty + params.presence_penalty) : 0,
    }
  })
}

/** The rows of a sequence, step after step: each step's token counts for the penalties of the next. */
function rowsOf(steps: readonly Float32Array[], params: SamplingParams, prompt: readonly number[]): Row[] {
  const [sampler, history] = [new Sampler(params, steps[0].length, prompt), new TokenHistory(prompt)]
  const random = new CounterRandom(params.seed!)
  let drawn = 0
  return steps.map((logits) => {
    const entries = entriesOf(params, history)
    const adjusted = Float32Array.from(logits)
    applyLogitBias(adjusted, new Map(Object.entries(params.logit_bias).map(([id, bias]) => [Number(id), bias])))
    const context = params.repetition_context_size ?? history.tokens.length
    applyRepetitionPenalty(adjusted, history.tokens, params.repetition_penalty, context, new Set())
    applyCountPenalties(adjusted, history.generated, params.frequency_penalty, params.presence_penalty)
    const uniform = Math.min(Math.fround(random.uniform(drawn)), 1 - 2 ** -24)
    const token = nextOf(sampler, logits)
    if (token !== NO_INDEX) {
      history.append(token)
      drawn++
    }
    return { logits, params, uniform, entries, adjusted, token }
  })
}

function nextOf(sampler: Sampler, logits: Float32Array): number {
  try {
    return sampler.next(logits).token
  } catch (error) {
    if (error instanceof LogitsError) return NO_INDEX
    throw error
  }
}

/** The tokens that a backend chooses for rows together, and the logits it adjusts. */
async function onDevice(backend: Backend, rows: readonly Row[]) {
  const V = rows[0].logits.length
  const entries = rows.flatMap(({ entries }, row) => entries.map((entry) => ({ ...entry, row })))
  // There is no array of nothing.
  if (entries.length === 0) entries.push({ row: NO_INDEX, id: 0, bias: 0, factor: 1, shift: 0 })
  const of = (array: typeof Float32Array | typeof Uint32Array) => (values: readonly number[]) =>
    mx.array(array.from(values), [values.length])
  const [floats, integers] = [of(Float32Array), of(Uint32Array)]
  const all = Float32Array.from(rows.flatMap(({ logits }) => [...logits]))
  const adjusted = mx.adjustLogits(mx.array(all, [rows.length, V]), {
    rows: integers(entries.map(({ row }) => row)),
    ids: integers(entries.map(({ id }) => id)),
    bias: floats(entries.map(({ bias }) => bias)),
    factor: floats(entries.map(({ factor }) => factor)),
    shift: floats(entries.map(({ shift }) => shift)),
  })
  const tokens = mx.random.sample(adjusted, {
    temperature: floats(rows.map(({ params }) => params.temperature)),
    top_k: integers(rows.map(({ params }) => params.top_k)),
    top_p: floats(rows.map(({ params }) => params.top_p)),
    min_p: floats(rows.map(({ params }) => params.min_p)),
    uniform: floats(rows.map(({ uniform }) => uniform)),
  })
  const [[logits, ids]] = await run({ name: "rows", outputs: [adjusted.value, tokens.value] }, backend)
  return { logits: logits as Float32Array, tokens: [...ids] }
}

const V = fc.integer({ min: 1, max: 300 })

/** Eighths, which float32 has: the device is asked what the host is asked. */
const eighths = (min: number, max: number) => fc.integer({ min: min * 8, max: max * 8 }).map((value) => value / 8)

const someOptions = (V: number) =>
  fc.record({
    temperature: fc.oneof(fc.constant(0), fc.constant(1), eighths(0, 2)),
    top_k: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: V + 2 })),
    top_p: fc.oneof(fc.constant(1), eighths(0, 1)),
    min_p: fc.oneof(fc.constant(0), eighths(0, 1)),
    repetition_penalty: fc.oneof(fc.constant(1), fc.constantFrom(0.5, 1.25, 2)),
    repetition_context_size: fc.option(fc.integer({ min: 1, max: 9 })),
    frequency_penalty: fc.oneof(fc.constant(0), eighths(-2, 2)),
    presence_penalty: fc.oneof(fc.constant(0), eighths(-2, 2)),
    logit_bias: fc.dictionary(fc.nat(V - 1).map(String), eighths(-100, 100), { maxKeys: 4 }),
    seed: fc.nat(),
  })

const logit = fc.oneof(
  { weight: 20, arbitrary: fc.double({ min: -20, max: 20, noNaN: true }) },
  { weight: 10, arbitrary: fc.integer({ min: -3, max: 3 }) },
  { weight: 2, arbitrary: fc.constant(Number.NEGATIVE_INFINITY) },
)

const someLogits = (V: number) =>
  fc.tuple(fc.array(logit, { minLength: V, maxLength: V }), fc.nat(V - 1), fc.nat(19)).map(([values, at, spoiled]) => {
    const row = Float32Array.from(values)
    if (spoiled === 0) row[at] = Number.NaN
    if (spoiled === 1) row[at] = Number.POSITIVE_INFINITY
    if (spoiled === 2) row.fill(Number.NEGATIVE_INFINITY)
    return row
  })

/** A few sequences over one vocabulary. */
const batch = V.chain((V) =>
  fc.array(
    fc
      .tuple(
        fc.array(someLogits(V), { minLength: 1, maxLength: 3 }),
        someOptions(V),
        fc.array(fc.nat(V - 1), { maxLength: 12 }),
      )
      .map(([steps, options, prompt]) => rowsOf(steps, parseSamplingParams(options, V), prompt)),
    { minLength: 1, maxLength: 4 },
  ),
).map((sequences) => sequences.flat())

/** -0 as 0. */
const unsigned = (value: number) => value + 0

describe.each([
  ["reference", async () => new ReferenceBackend()],
  ["cpu", () => createCpuBackend({ threads: 2 })],
])("sample and adjust_logits on %s", (_, create) => {
  const backend = create()
  afterAll(async () => (await backend).close())

  it("choose what the host's sampler chooses, to rounding", async () => {
    let [rows, same] = [0, 0]
    await fc.assert(
      fc.asyncProperty(batch, async (batch) => {
        const { logits, tokens } = await onDevice(await backend, batch)
        expect(logits.map(unsigned)).toEqual(
          Float32Array.from(
            batch.flatMap(({ adjusted }) => [...adjusted]),
            unsigned,
          ),
        )
        for (const [l, { adjusted, params, uniform, token }] of batch.entries()) {
          rows++
          if (tokens[l] === token) same++
          else
            expect(isRightChoice(adjusted, { ...params, uniform }, tokens[l]), `${tokens[l]}, not ${token}`).toBe(true)
        }
      }),
      { numRuns: 100, seed: 3 },
    )
    expect(same / rows).toBeGreaterThan(0.99)
  })

  it("choose from a row what they choose from it alone, or among others", async () => {
    await fc.assert(
      fc.asyncProperty(batch, async (batch) => {
        const { tokens } = await onDevice(await backend, batch)
        const backwards = await onDevice(await backend, [...batch].reverse())
        expect(backwards.tokens.reverse()).toEqual(tokens)
        for (const [l, row] of batch.entries())
          expect((await onDevice(await backend, [row])).tokens).toEqual([tokens[l]])
      }),
      { numRuns: 30, seed: 4 },
    )
  })
})
