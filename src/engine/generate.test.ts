import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { TokenDecoder } from "../text/tokenizer.js"
import { ContextLengthError, ParameterError } from "./errors.js"
import { type GenerateOptions, generate, type SummaryResult, type TokenResult } from "./generate.js"
import { MarkovRunner } from "../../test/engine/fake_runner.js"

/** Token n is the n-th letter; even tokens come out one token late, like unfinished characters. */
class LetterDecoder implements TokenDecoder {
  private late = ""

  push(token: number): string {
    const text = this.late + String.fromCharCode(97 + token)
    if (token % 2 === 1) {
      this.late = ""
      return text
    }
    this.late = text
    return ""
  }

  end(): string {
    const text = this.late
    this.late = ""
    return text
  }
}

const letters = (tokens: number[]) => tokens.map((token) => String.fromCharCode(97 + token)).join("")

async function run(
  prompt: number[],
  options: GenerateOptions,
  runner = new MarkovRunner(),
  stopTokens = new Set<number>(),
) {
  const results: TokenResult[] = []
  let summary: SummaryResult | undefined
  for await (const result of generate(runner, prompt, new LetterDecoder(), stopTokens, options)) {
    if (result.type === "token") results.push(result)
    else summary = result
  }
  if (!summary) throw new Error("no summary")
  return { results, tokens: results.map((r) => r.token), text: results.map((r) => r.text).join(""), summary }
}

describe("generate", () => {
  it("stops at max_tokens and counts", async () => {
    const { tokens, text, summary } = await run([1, 2, 3], { temperature: 0, max_tokens: 5 })
    expect(tokens).toHaveLength(5)
    expect(text).toBe(letters(tokens))
    expect(summary).toMatchObject({ finish_reason: "length", prompt_tokens: 3, completion_tokens: 5, cached_tokens: 0 })
    expect(summary.prompt_tps).toBeGreaterThan(0)
    expect(summary.generation_tps).toBeGreaterThan(0)
  })

  it("stops when the context is full", async () => {
    const { tokens, summary } = await run([1, 2, 3], { temperature: 1, seed: 4 }, new MarkovRunner(32, 10))
    expect(tokens).toHaveLength(7)
    expect(summary.finish_reason).toBe("length")
  })

  it("ends on a stop token, which is not in the text", async () => {
    const { tokens: all } = await run([1, 2], { temperature: 0, max_tokens: 6 })
    const at = all.findIndex((token, i) => i > 0 && all.indexOf(token) === i)
    const { tokens, text, summary } = await run([1, 2], { temperature: 0 }, undefined, new Set([all[at], 31]))
    expect(tokens).toEqual(all.slice(0, at + 1))
    expect(text).toBe(letters(all.slice(0, at)))
    expect(summary.finish_reason).toBe("stop")
  })

  it("cuts the text at a stop string wherever it falls, and says stop even on the last allowed token", async () => {
    const { text: whole } = await run([5, 1], { temperature: 1, seed: 9, max_tokens: 20 })
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 16 }), fc.integer({ min: 1, max: 4 }), async (at, length) => {
        const stop = whole.slice(at, at + length)
        const { text, summary } = await run([5, 1], { temperature: 1, seed: 9, max_tokens: 20, stop })
        expect(text).toBe(whole.slice(0, whole.indexOf(stop)))
        expect(summary.finish_reason).toBe("stop")
      }),
    )
  })

  it("stops while the prompt runs, with the signal's reason", async () => {
    const stop = new AbortController()
    const reason = new Error("changed my mind")
    const seen: number[] = []
    const onProgress = (done: number) => seen.push(done) === 2 && stop.abort(reason)
    const prompt = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
    await expect(run(prompt, { signal: stop.signal, onProgress })).rejects.toBe(reason)
    expect(seen).toEqual([4, 8])
  })

  it("stops between tokens, and gives none that were drawn ahead", async () => {
    const runner = new MarkovRunner()
    const stop = new AbortController()
    const seen: number[] = []
    const loop = async () => {
      for await (const result of generate(runner, [1], new LetterDecoder(), new Set(), { signal: stop.signal })) {
        // Time for more.
        await new Promise((resolve) => setTimeout(resolve, 5))
        if (result.type === "token" && seen.push(result.token) === 3) stop.abort()
      }
    }
    await expect(loop()).rejects.toMatchObject({ name: "AbortError" })
    expect(seen).toHaveLength(3)
    expect((await run([1], { max_tokens: 2 }, runner)).tokens).toHaveLength(2)
  })

  it("ends the sequence of a loop that is left", async () => {
    const runner = new MarkovRunner()
    for await (const _ of generate(runner, [1], new LetterDecoder(), new Set())) break
    expect(runner.submitted.map(({ isOver }) => isOver)).toEqual([true])
  })

  it("tells the scheduler who goes first", async () => {
    const runner = new MarkovRunner()
    await run([1], { max_tokens: 1, priority: -1 }, runner)
    expect(runner.submitted[0].request.priority).toBe(-1)
  })

  it("reports log-probabilities", async () => {
    const { results } = await run([1], { max_tokens: 2, temperature: 0, logprobs: true, top_logprobs: 3 })
    for (const { token, logprob, top_logprobs } of results) {
      expect(top_logprobs?.[0]).toEqual({ token, logprob })
      expect(top_logprobs).toHaveLength(3)
    }
  })

  it.each<[string, number[], GenerateOptions]>([
    ["max_tokens", [1], { max_tokens: 0 }],
    ["stop", [1], { stop: ["a", ""] }],
    ["top_k", [1], { top_k: -1 }],
    ["priority", [1], { priority: Number.NaN }],
    ["prompt", [], {}],
    ["prompt.1", [1, 32], {}],
    ["prompt.0", [1.5], {}],
  ])("names a bad %s", async (field, prompt, options) => {
    const failure = await run(prompt, options).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(ParameterError)
    expect(failure).toMatchObject({ field })
  })

  it("refuses a prompt that leaves no room for an answer", async () => {
    const runner = new MarkovRunner(32, 4)
    await expect(run([1, 2, 3, 4], {}, runner)).rejects.toThrow(new ContextLengthError(5, 4))
    expect(runner.submitted).toEqual([])
  })
})
