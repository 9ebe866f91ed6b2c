import { readFileSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { LogitsError } from "../errors.js"
import { Distribution } from "./distribution.js"
import { logSumExp, topLogprobs } from "./logprobs.js"
import { parseSamplingParams, type SamplingOptions } from "./params.js"
import { applyCountPenalties, applyLogitBias, applyRepetitionPenalty, TokenHistory } from "./penalties.js"
import { Sampler } from "./sampler.js"

interface Vectors {
  cases: {
    source: string
    params: SamplingOptions
    prompt: number[]
    generated: number[]
    logits: number[]
    probabilities: number[]
  }[]
  logprobs: { logits: number[]; values: number[]; top: number[] }
}

// Written by tools/reference/sampling_vectors.py.
const fixtures = new URL("../../../../test/engine/sampling/fixtures/sampling.json", import.meta.url)
const vectors = JSON.parse(readFileSync(fixtures, "utf8")) as Vectors

function probabilities(
  logits: Float32Array,
  options: SamplingOptions,
  prompt: number[] = [],
  generated: number[] = [],
) {
  const params = parseSamplingParams(options, logits.length)
  const history = new TokenHistory(prompt)
  for (const token of generated) history.append(token)
  const adjusted = Float32Array.from(logits)
  applyLogitBias(adjusted, new Map(Object.entries(params.logit_bias).map(([id, bias]) => [Number(id), bias])))
  const size = params.repetition_context_size ?? history.tokens.length
  applyRepetitionPenalty(adjusted, history.tokens, params.repetition_penalty, size, new Set())
  applyCountPenalties(adjusted, history.generated, params.frequency_penalty, params.presence_penalty)
  const distribution = new Distribution(logits.length)
  distribution.fill(adjusted, params)
  return Array.from(distribution.weights, (weight) => weight / distribution.total)
}

describe("against transformers and mlx-lm", () => {
  it.each(vectors.cases)("$source $params", ({ params, prompt, generated, logits, probabilities: expected }) => {
    const found = probabilities(Float32Array.from(logits), params, prompt, generated)
    // Float32 rounds the weight of a token biased by -100 to zero.
    expect(found.map((p) => p > 1e-38)).toEqual(expected.map((p) => p > 0))
    for (const [id, p] of found.entries()) expect(Math.abs(p - expected[id])).toBeLessThan(2e-6 + 2e-5 * expected[id])
  })

  it("log-probabilities agree with torch's log_softmax", () => {
    const logits = Float32Array.from(vectors.logprobs.logits)
    const top = topLogprobs(logits, 20, logSumExp(logits), new Uint32Array(20))
    expect(top.map(({ token }) => token)).toEqual(vectors.logprobs.top)
    for (const { token, logprob } of top) expect(logprob).toBeCloseTo(vectors.logprobs.values[token], 6)
  })
})

/** Pearson's statistic of sampled counts against probabilities. */
function chiSquare(counts: number[], expected: number[], draws: number): number {
  return counts.reduce((sum, count, id) => {
    if (expected[id] === 0) return count === 0 ? sum : Number.POSITIVE_INFINITY
    return sum + (count - draws * expected[id]) ** 2 / (draws * expected[id])
  }, 0)
}

describe("Sampler", () => {
  const logits = Float32Array.from([1, -0.5, 2, 0.3, -1, 1.7, 0, 0.9])

  it.each<SamplingOptions>([
    {},
    { temperature: 0.5 },
    { temperature: 2, top_p: 0.8 },
    { top_k: 3 },
    { min_p: 0.2, logit_bias: { 4: 2 } },
  ])("draws from the distribution it states: %j", (options) => {
    const draws = 20_000
    const expected = probabilities(logits, options)
    const sampler = new Sampler(parseSamplingParams({ ...options, seed: 11 }), logits.length)
    const counts = new Array<number>(logits.length).fill(0)
    for (let i = 0; i < draws; i++) counts[sampler.next(logits).token]++
    // 26.1 is the 0.9995 quantile of chi-square with 7 degrees of freedom; the seed is fixed.
    expect(chiSquare(counts, expected, draws)).toBeLessThan(26.1)
  })

  it("gives the same tokens for the same seed and others for another", () => {
    const run = (seed: number) => {
      const sampler = new Sampler(parseSamplingParams({ seed }), logits.length)
      return Array.from({ length: 50 }, () => sampler.next(logits).token)
    }
    expect(run(5)).toEqual(run(5))
    expect(run(5)).not.toEqual(run(6))
    expect(run(5)).not.toEqual(run(5 + 2 ** 40))
    expect(run(-5)).not.toEqual(run(5))
  })

  it("reports a seed that reproduces an unseeded run", () => {
    const unseeded = new Sampler(parseSamplingParams({}), logits.length)
    const tokens = Array.from({ length: 30 }, () => unseeded.next(logits).token)
    const again = new Sampler(parseSamplingParams({ seed: unseeded.seed }), logits.length)
    expect(Array.from({ length: 30 }, () => again.next(logits).token)).toEqual(tokens)
  })

  it("takes the most likely token at temperature 0, the lower id on a tie", () => {
    const sampler = new Sampler(parseSamplingParams({ temperature: 0 }), 4)
    expect(sampler.next(Float32Array.from([0, 3, 3, 1])).token).toBe(1)
  })

  it("penalises what it generated but not the prompt, for frequency and presence", () => {
    const sampler = new Sampler(parseSamplingParams({ temperature: 0, presence_penalty: 1 }), 3, [0, 0, 0])
    const tokens = Array.from({ length: 3 }, () => sampler.next(Float32Array.from([2, 1.5, 1.2])).token)
    expect(tokens).toEqual([0, 1, 2])
  })

  it("reports log-probabilities of the raw logits and leaves the logits alone", () => {
    const options = { temperature: 0, logit_bias: { 4: 100 }, logprobs: true, top_logprobs: 2 }
    const sampler = new Sampler(parseSamplingParams(options), logits.length)
    const before = Float32Array.from(logits)
    const { token, logprob, top_logprobs } = sampler.next(logits)
    expect(token).toBe(4)
    expect(logprob).toBeCloseTo(-1 - Math.log(before.reduce((sum, l) => sum + Math.exp(l), 0)), 6)
    expect(top_logprobs?.map((top) => top.token)).toEqual([2, 5])
    expect(logits).toEqual(before)
  })

  it("samples around forbidden tokens", () => {
    const sampler = new Sampler(parseSamplingParams({ seed: 1, top_p: 0.99 }), 3)
    const forbidden = Float32Array.from([Number.NEGATIVE_INFINITY, 0, Number.NEGATIVE_INFINITY])
    for (let i = 0; i < 20; i++) expect(sampler.next(forbidden).token).toBe(1)
  })

  it.each([
    [[Number.NaN, 1, 2]],
    [[1, 2, Number.POSITIVE_INFINITY]],
    [[Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]],
  ])("refuses logits nobody can sample from: %j", (values) => {
    for (const temperature of [0, 1]) {
      const sampler = new Sampler(parseSamplingParams({ temperature }), 3)
      expect(() => sampler.next(Float32Array.from(values))).toThrow(LogitsError)
    }
  })

  it("keeps an ordered prefix that reaches top_p and no shorter one", () => {
    const logit = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ min: -20, max: 20, noNaN: true }))
    const values = fc.array(logit, { minLength: 1, maxLength: 60 })
    const top_p = fc.double({ min: 0.01, max: 0.999, noNaN: true })
    fc.assert(
      fc.property(values, top_p, (raw, p) => {
        const logits = Float32Array.from(raw)
        const all = probabilities(logits, {})
        const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a] || a - b)
        const kept = probabilities(logits, { top_p: p })
        const size = kept.filter((x) => x > 0).length
        expect(order.slice(0, size).every((id) => kept[id] > 0)).toBe(true)
        const mass = (n: number) => order.slice(0, n).reduce((sum, id) => sum + all[id], 0)
        expect(mass(size)).toBeGreaterThanOrEqual(p - 1e-9)
        expect(mass(size - 1)).toBeLessThan(p + 1e-9)
      }),
      { numRuns: 500 },
    )
  })
})
