import { describe, expect, it } from "vitest"
import { faceOf, post } from "../../../test/server/face.js"
import { expectOpenAI } from "../../../test/server/openai_schemas.js"
import { dataOf } from "../../../test/server/openai_stream.js"
import { scriptedModel } from "../../../test/server/scripted_model.js"
import { loadModel } from "../../engine/node_model.js"
import { LocalModel } from "../local_model.js"
import { openaiError } from "./errors.js"
import { openaiRoutes } from "./routes.js"

const tiny = new LocalModel(await loadModel("models/minerva-tiny"))
const app = faceOf(openaiRoutes, openaiError, tiny)

interface Logprobs {
  tokens: string[]
  token_logprobs: number[]
  top_logprobs: Record<string, number>[]
  text_offset: number[]
}

interface Completion {
  id: string
  choices: { index: number; text: string; logprobs: Logprobs | null; finish_reason: string | null }[]
  usage?: { prompt_tokens: number; completion_tokens: number; total_tokens: number } | null
}

async function complete(body: object, to = app): Promise<Completion> {
  const response = await post(to, "/v1/completions", { max_tokens: 8, temperature: 0, ...body })
  const answer = await response.json()
  expect(response.status, JSON.stringify(answer)).toBe(200)
  expectOpenAI("CreateCompletionResponse", answer)
  return answer
}

const textsOf = ({ choices }: Completion) => choices.map(({ text }) => text)

describe("a completion", () => {
  it("continues a text, its token ids, and lists of either", async () => {
    const prompt = "Once upon a time"
    const ids = await tiny.tokenize(prompt)
    const { choices, usage } = await complete({ prompt })
    expect(choices).toEqual([{ index: 0, text: expect.any(String), logprobs: null, finish_reason: "length" }])
    expect(usage).toMatchObject({ prompt_tokens: ids.length, completion_tokens: 8, total_tokens: ids.length + 8 })
    const [{ text }] = choices
    expect(textsOf(await complete({ prompt: ids }))).toEqual([text])
    const other = textsOf(await complete({ prompt: "What is" }))[0]
    const list = await complete({ prompt: [prompt, "What is", ids] })
    expect(textsOf(list)).toEqual([text, other, text])
    expect(list.choices.map(({ index }) => index)).toEqual([0, 1, 2])
    expect(textsOf(await complete({ prompt: [ids, ids] }))).toEqual([text, text])
  })

  it("is 16 tokens long unless told otherwise", async () => {
    const { usage } = await complete({ prompt: "Once", max_tokens: null, logit_bias: {} })
    expect(usage?.completion_tokens).toBeLessThanOrEqual(16)
    expect(usage?.completion_tokens).toBeGreaterThan(8)
  })

  it("begins with the prompt where it is to be echoed, and may be no more than that", async () => {
    const ids = await tiny.tokenize("Once upon a time")
    const [text] = textsOf(await complete({ prompt: "Once upon a time" }))
    expect(textsOf(await complete({ prompt: ["Once upon a time", ids], echo: true }))).toEqual([
      `Once upon a time${text}`,
      `Once upon a time${text}`,
    ])
    const nothing = await complete({ prompt: ids, echo: true, max_tokens: 0 })
    expect(nothing).toMatchObject({
      choices: [{ text: "Once upon a time", finish_reason: "length" }],
      usage: { prompt_tokens: ids.length, completion_tokens: 0 },
    })
  })

  it("has several samples of each prompt, of seeds that follow each other", async () => {
    const body = { temperature: 1.2, seed: 4 }
    const both = await complete({ ...body, prompt: ["Once", "What"], n: 2 })
    const alone = await Promise.all(
      ["Once", "What"].flatMap((prompt) => [4, 5].map((seed) => complete({ ...body, prompt, seed }))),
    )
    expect(textsOf(both)).toEqual(alone.flatMap(textsOf))
    expect(new Set(textsOf(both)).size).toBe(4)
    const read = alone.map(({ usage }) => usage!.prompt_tokens)
    expect(both.usage?.prompt_tokens).toBe(read[0] + read[2])
    expect(both.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3])
  })

  it("is the likeliest of several samples", async () => {
    const body = { prompt: "Once upon a time", temperature: 1.5, seed: 1, logprobs: 0 }
    const all = await complete({ ...body, n: 5 })
    const mean = ({ logprobs }: Completion["choices"][0]) => {
      const numbers = logprobs!.token_logprobs
      return numbers.reduce((sum, n) => sum + n, 0) / numbers.length
    }
    const [best, second] = all.choices.toSorted((a, b) => mean(b) - mean(a))
    const chosen = await complete({ ...body, best_of: 5, n: 2, logprobs: null })
    expect(textsOf(chosen)).toEqual([best.text, second.text])
    expect(chosen.choices.map(({ index, logprobs }) => ({ index, logprobs }))).toEqual([
      { index: 0, logprobs: null },
      { index: 1, logprobs: null },
    ])
    expect(chosen.usage).toEqual(all.usage)
  })

  it("tells probabilities in the older form", async () => {
    const { text, logprobs } = (await complete({ prompt: "Once upon a time", logprobs: 3 })).choices[0]
    const { tokens, token_logprobs, top_logprobs, text_offset } = logprobs!
    expect(tokens.join("")).toBe(text)
    expect(text_offset).toEqual(tokens.map((_, i) => tokens.slice(0, i).join("").length))
    for (const [i, token] of tokens.entries()) {
      expect(Object.keys(top_logprobs[i])).toHaveLength(3)
      expect(top_logprobs[i][token]).toBe(token_logprobs[i])
    }
  })

  it("spells bytes that are no text alone, and knows where they are", async () => {
    // A token is a byte there.
    const model = scriptedModel(() => "<|channel|>\u00e9x\u{1f600}y<|return|>")
    const { logprobs } = (await complete({ prompt: "x", max_tokens: 20, logprobs: 0 }, appOf(model))).choices[0]
    expect(logprobs!.tokens).toEqual([
      "bytes:\\xc3",
      "bytes:\\xa9",
      "x",
      ...["\\xf0", "\\x9f", "\\x98", "\\x80"].map((byte) => `bytes:${byte}`),
      "y",
    ])
    expect(logprobs!.text_offset).toEqual([0, 0, 1, 2, 2, 2, 2, 4])
  })

  it("streams pieces that join to the answer", async () => {
    const body = { prompt: ["Once upon a time", "What"], n: 2, temperature: 1, seed: 3, logprobs: 2, max_tokens: 12 }
    const answer = await complete(body)
    const response = await post(app, "/v1/completions", {
      ...body,
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks = (await dataOf(response)) as Completion[]
    const { choices, usage } = chunks.pop()!
    expect({ choices, usage }).toEqual({
      choices: [],
      usage: { ...answer.usage, prompt_tokens_details: expect.anything() },
    })
    const joined = answer.choices.map(({ index }): Completion["choices"][0] => {
      const own = chunks.flatMap(({ choices }) => choices.filter((choice) => choice.index === index))
      const all = <K extends keyof Logprobs>(key: K) =>
        own.flatMap(({ logprobs }) => logprobs![key] as unknown[]) as Logprobs[K]
      return {
        index,
        text: own.map(({ text }) => text).join(""),
        logprobs: {
          tokens: all("tokens"),
          token_logprobs: all("token_logprobs"),
          top_logprobs: all("top_logprobs"),
          text_offset: all("text_offset"),
        },
        finish_reason: own.at(-1)!.finish_reason,
      }
    })
    expect(joined).toEqual(answer.choices)
    for (const chunk of chunks) {
      expect(chunk).toMatchObject({ id: chunks[0].id, usage: null })
      // The document has no word for "not yet", which OpenAI's server sends as null.
      const ended = chunk.choices.map((choice) => ({ ...choice, finish_reason: choice.finish_reason ?? "stop" }))
      expectOpenAI("CreateCompletionResponse", { ...chunk, choices: ended, usage: undefined })
    }
  })

  it("streams the echo first", async () => {
    const body = { prompt: "Once upon a time", echo: true, max_tokens: 3, temperature: 0 }
    for (const max_tokens of [0, 3]) {
      const response = await post(app, "/v1/completions", { ...body, max_tokens, stream: true })
      const chunks = (await dataOf(response)) as Completion[]
      expect(chunks.flatMap(textsOf).join("")).toBe(textsOf(await complete({ ...body, max_tokens }))[0])
    }
  })

  it.each<[object, string]>([
    [{ prompt: undefined }, "prompt"],
    [{ prompt: 5 }, "prompt"],
    [{ prompt: [] }, "prompt"],
    [{ prompt: "" }, "prompt"],
    [{ prompt: ["x", ""] }, "prompt.1"],
    [{ prompt: ["x", 5] }, "prompt.1"],
    [{ prompt: ["x", [5, 99999]] }, "prompt.1.1"],
    [{ prompt: [5, 99999] }, "prompt.1"],
    [{ prompt: [0.5] }, "prompt.0"],
    [{ prompt: [[]] }, "prompt.0"],
    [{ prompt: Array(129).fill("x") }, "prompt"],
    [{ n: 2, best_of: 1 }, "best_of"],
    [{ n: 1, best_of: 2, stream: true }, "best_of"],
    [{ suffix: "x" }, "suffix"],
    [{ echo: true, logprobs: 2 }, "logprobs"],
    [{ logprobs: true }, "logprobs"],
    [{ max_tokens: -5 }, "max_tokens"],
    [{ temperature: 5 }, "temperature"],
    [{ repetition_penalty: -1 }, "repetition_penalty"],
    [{ repeat_penalty: -1 }, "repeat_penalty"],
    [{ prompt: ["x", [5, 99999]], max_tokens: 0, echo: true }, "prompt.1.1"],
  ])("refuses %j and names its parameter", async (body, param) => {
    const response = await post(app, "/v1/completions", { prompt: "x", ...body })
    const error = await response.json()
    expectOpenAI("ErrorResponse", error)
    expect(error).toMatchObject({ error: { type: "invalid_request_error", param } })
    expect(response.status).toBe(400)
  })

  it("refuses a prompt that does not fit, also where nothing is to be written", async () => {
    for (const max_tokens of [0, 4]) {
      const response = await post(app, "/v1/completions", { prompt: "a b ".repeat(20_000), max_tokens })
      expect(await response.json()).toMatchObject({ error: { code: "context_length_exceeded" } })
      expect(response.status).toBe(400)
    }
  })
})

const appOf = (model: Parameters<typeof faceOf>[2]) => faceOf(openaiRoutes, openaiError, model)
