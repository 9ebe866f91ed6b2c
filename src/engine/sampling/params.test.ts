import { describe, expect, it } from "vitest"
import { ParameterError } from "../errors.js"
import { parseSamplingParams } from "./params.js"

function failure(options: unknown, vocab_size = 100): ParameterError {
  try {
    parseSamplingParams(options as object, vocab_size)
  } catch (error) {
    if (error instanceof ParameterError) return error
    throw error
  }
  throw new Error("was accepted")
}

describe("parseSamplingParams", () => {
  it("fills in neutral defaults", () => {
    expect(parseSamplingParams()).toMatchObject({ temperature: 1, top_k: 0, top_p: 1, min_p: 0, repetition_penalty: 1 })
  })

  it.each([
    [{ temperature: 2.5 }, "temperature"],
    [{ temperature: Number.NaN }, "temperature"],
    [{ temperature: "hot" }, "temperature"],
    [{ top_k: 1.5 }, "top_k"],
    [{ top_p: -0.1 }, "top_p"],
    [{ min_p: 2 }, "min_p"],
    [{ repetition_penalty: 0 }, "repetition_penalty"],
    [{ frequency_penalty: 3 }, "frequency_penalty"],
    [{ presence_penalty: -3 }, "presence_penalty"],
    [{ logit_bias: { 3: 200 } }, "logit_bias.3"],
    [{ logit_bias: { x: 1 } }, "logit_bias.x"],
    [{ logit_bias: { 100: 1 } }, "logit_bias.100"],
    [{ logit_bias: [] }, "logit_bias"],
    [{ seed: 0.5 }, "seed"],
    [{ logprobs: true, top_logprobs: 21 }, "top_logprobs"],
    [{ top_logprobs: 2 }, "top_logprobs"],
    [{ topp: 0.5 }, "topp"],
    [null, "sampling"],
  ])("%j is refused and %s named", (options, field) => {
    const error = failure(options)
    expect(error.field).toBe(field)
    expect(error.message).toMatch(/expected .+, found .+/)
  })

  it("says range and value", () => {
    expect(failure({ top_p: 7 }).message).toBe("top_p: expected a number from 0 to 1, found 7")
  })
})
