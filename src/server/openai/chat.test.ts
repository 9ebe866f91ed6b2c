import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { faceOf, post } from "../../../test/server/face.js"
import { expectOpenAI } from "../../../test/server/openai_schemas.js"
import {
  type ChatAnswer,
  type ChatChunk,
  dataOf,
  joined,
  whole,
  withoutIds,
} from "../../../test/server/openai_stream.js"
import { scriptedModel } from "../../../test/server/scripted_model.js"
import { loadModel } from "../../engine/node_model.js"
import { LocalModel } from "../local_model.js"
import type { ServedModel } from "../served_model.js"
import { openaiError } from "./errors.js"
import { openaiRoutes } from "./routes.js"

const PATH = "/v1/chat/completions"
const tiny = new LocalModel(await loadModel("models/minerva-tiny"))
const tinyApp = faceOf(openaiRoutes, openaiError, tiny)
const MESSAGES = [{ role: "user", content: "What is 17 + 25?" }]
const F = { type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } }
const G = { type: "custom", custom: { name: "g", description: "Takes text" } }

const saying = (...turns: readonly string[]) => {
  let turn = 0
  return appOf(scriptedModel(() => turns[turn++ % turns.length]))
}
const appOf = (model: ServedModel) => faceOf(openaiRoutes, openaiError, model)

async function answerOf(app: typeof tinyApp, body: object): Promise<ChatAnswer> {
  const response = await post(app, PATH, { messages: MESSAGES, ...body })
  const answer = await response.json()
  expect(response.status, JSON.stringify(answer)).toBe(200)
  expectOpenAI("CreateChatCompletionResponse", answer)
  return answer
}

async function chunksOf(app: typeof tinyApp, body: object): Promise<ChatChunk[]> {
  const response = await post(app, PATH, { messages: MESSAGES, stream: true, ...body })
  expect(response.status).toBe(200)
  return (await dataOf(response)) as ChatChunk[]
}

describe("an answer", () => {
  it("has content, both spellings of reasoning, and what was counted", async () => {
    const app = saying(
      "<|channel|>analysis<|message|>Add.<|end|><|start|>assistant<|channel|>final<|message|>42<|return|>",
    )
    const { choices, usage, ...rest } = await answerOf(app, {})
    expect(choices).toEqual([
      {
        index: 0,
        message: {
          role: "assistant",
          content: "42",
          refusal: null,
          annotations: [],
          reasoning: "Add.",
          reasoning_content: "Add.",
        },
        logprobs: null,
        finish_reason: "stop",
      },
    ])
    expect(usage).toMatchObject({
      prompt_tokens_details: { cached_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 4 },
    })
    expect(rest).toMatchObject({ object: "chat.completion", model: "scripted" })
    expect(rest).toHaveProperty("system_fingerprint", expect.stringMatching(/^fp_[0-9a-f]{8}$/))
  })

  it("has calls of functions and of custom tools, and no content beside them", async () => {
    const call = (name: string, text: string) => `<|channel|>commentary to=functions.${name}<|message|>${text}`
    const app = saying(`${call("f", '{"a":1}')}<|end|><|start|>assistant${call("g", "free text")}<|call|>`)
    const { choices } = await answerOf(app, { tools: [F, G] })
    expect(choices).toMatchObject([
      {
        message: {
          content: null,
          tool_calls: [
            { type: "function", function: { name: "f", arguments: '{"a":1}' } },
            { type: "custom", custom: { name: "g", input: "free text" } },
          ],
        },
        finish_reason: "tool_calls",
      },
    ])
    const [first, second] = choices[0].message.tool_calls!
    expect(first.id).toMatch(/^call_/)
    expect(second.id).not.toBe(first.id)
  })

  it("has one call where calls in parallel are not wanted", async () => {
    const call = '<|channel|>commentary to=functions.f<|message|>{"a":1}'
    const app = saying(`${call}<|end|><|start|>assistant${call}<|call|>`)
    const answer = await answerOf(app, { tools: [F], parallel_tool_calls: false })
    expect(answer.choices[0].message.tool_calls).toHaveLength(1)
    const chunks = await chunksOf(app, { tools: [F], parallel_tool_calls: false })
    expect(withoutIds(joined(chunks))).toEqual(withoutIds(whole(answer)))
  })

  it("has a call in OpenAI's older form where functions are given so", async () => {
    const app = saying('<|channel|>commentary to=functions.f<|message|>{"a":1}<|call|>')
    const body = { functions: [F.function], function_call: "auto" }
    const answer = await answerOf(app, body)
    expect(answer.choices[0]).toMatchObject({
      message: { content: null, function_call: { name: "f", arguments: '{"a":1}' } },
      finish_reason: "function_call",
    })
    expect(answer.choices[0].message).not.toHaveProperty("tool_calls")
    expect(joined(await chunksOf(app, body))).toEqual(whole(answer))
  })

  it("ends before a stop string", async () => {
    const app = saying("<|channel|>final<|message|>one two three<|return|>")
    const { choices } = await answerOf(app, { stop: ["two"] })
    expect(choices).toMatchObject([{ message: { content: "one " }, finish_reason: "stop" }])
  })

  it("ends where its tokens are used up", async () => {
    const { choices, usage } = await answerOf(tinyApp, { max_completion_tokens: 5, max_tokens: 9 })
    expect(choices).toMatchObject([{ finish_reason: "length" }])
    expect(usage).toMatchObject({ completion_tokens: 5 })
  })

  it("counts what was cached", async () => {
    await answerOf(tinyApp, { max_tokens: 1 })
    const { usage } = await answerOf(tinyApp, { max_tokens: 1 })
    const { prompt_tokens, prompt_tokens_details } = usage as Record<string, never>
    expect((prompt_tokens_details as { cached_tokens: number }).cached_tokens).toBeGreaterThan(prompt_tokens / 2)
  })

  it("takes back the calls of custom tools, and their results", async () => {
    const prompts: string[] = []
    const app = appOf(
      scriptedModel((prompt) => {
        prompts.push(prompt)
        return "<|channel|>final<|message|>done<|return|>"
      }),
    )
    const call = { id: "c1", type: "custom", custom: { name: "g", input: "some text" } }
    const messages = [
      ...MESSAGES,
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", tool_call_id: "c1", content: [{ type: "text", text: "its result" }] },
    ]
    expect((await answerOf(app, { messages, tools: [G] })).choices[0].message.content).toBe("done")
    expect(prompts[0]).toContain("to=functions.g")
    expect(prompts[0]).toContain("<|message|>some text<|call|>")
    expect(prompts[0]).toContain("functions.g to=assistant<|channel|>commentary<|message|>its result")
  })
})

/** A turn as the model writes it; calls are of a function, of a custom tool, and of one that nobody declared. */
const turns = (() => {
  const text = fc.string({ unit: "grapheme", maxLength: 12 }).filter((text) => !text.includes("<|"))
  const message = fc.oneof(
    text.map((text) => `<|channel|>analysis<|message|>${text}`),
    text.map((text) => `<|channel|>final<|message|>${text}`),
    text.map((text) => `<|channel|>commentary<|message|>${text}`),
    fc.jsonValue().map((value) => `<|channel|>commentary to=functions.f<|message|>${JSON.stringify({ value })}`),
    fc
      .tuple(fc.constantFrom("g", "h"), text)
      .map(([name, text]) => `<|channel|>commentary to=functions.${name}<|message|>${text}`),
  )
  const end = fc.constantFrom("<|return|>", "<|call|>")
  return fc
    .tuple(fc.array(message, { minLength: 1, maxLength: 5 }), end)
    .map(([messages, end]) => messages.join("<|end|><|start|>assistant") + end)
})()

describe("a stream", () => {
  it("joins to the answer, whatever the model writes", async () => {
    const options = fc.record({
      stop: fc.option(fc.array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 2 }), { maxLength: 3 })),
      parallel_tool_calls: fc.boolean(),
      max_tokens: fc.option(fc.integer({ min: 1, max: 60 })),
      n: fc.constantFrom(1, 1, 3),
    })
    await fc.assert(
      fc.asyncProperty(turns, options, async (turn, options) => {
        const app = appOf(scriptedModel(() => turn))
        const body = { ...options, tools: [F, G] }
        const answer = whole(await answerOf(app, body))
        expect(withoutIds(joined(await chunksOf(app, body)))).toEqual(withoutIds(answer))
      }),
      { numRuns: 60 },
    )
  }, 60_000)

  it("joins to the answer with its log-probabilities", async () => {
    const body = { temperature: 0.7, seed: 5, logprobs: true, top_logprobs: 3 }
    const answer = await answerOf(tinyApp, body)
    expect(joined(await chunksOf(tinyApp, body))).toEqual(whole(answer))
    const { message, logprobs } = answer.choices[0]
    const tokens = logprobs!.content as { token: string; bytes: number[]; logprob: number; top_logprobs: object[] }[]
    expect(new TextDecoder().decode(Uint8Array.from(tokens.flatMap(({ bytes }) => bytes)))).toBe(message.content)
    for (const { logprob, top_logprobs } of tokens) {
      expect(logprob).toBeLessThanOrEqual(0)
      expect(top_logprobs).toHaveLength(3)
    }
  })

  it("has several answers side by side, those of seeds that follow each other", async () => {
    const messages = [{ role: "user", content: "Once" }]
    const body = { messages, seed: 11, temperature: 2, max_tokens: 24 }
    const alone = [await answerOf(tinyApp, body), await answerOf(tinyApp, { ...body, seed: 12 })]
    expect(alone[0].choices[0].message).not.toEqual(alone[1].choices[0].message)
    const both = await answerOf(tinyApp, { ...body, n: 2 })
    expect(both.choices.map(({ message }) => message)).toEqual(alone.map(({ choices }) => choices[0].message))
    const chunks = await chunksOf(tinyApp, { ...body, n: 2 })
    expect(joined(chunks)).toEqual(whole(both))
    const order = chunks.map(({ choices }) => choices[0].index).join("")
    expect(order).toMatch(/0.*1.*0.*1/)
  })

  it("ends with the usage where it is asked for", async () => {
    const app = saying("<|channel|>final<|message|>Hi<|return|>")
    const { usage } = await answerOf(app, {})
    const chunks = await chunksOf(app, { stream_options: { include_usage: true } })
    expect(chunks.pop()).toMatchObject({ choices: [], usage })
    expect(chunks.every((chunk) => chunk.usage === null)).toBe(true)
    expect(await chunksOf(app, {})).not.toContainEqual(expect.objectContaining({ usage: expect.anything() }))
  })

  it("ends with an error where the model fails in its midst", async () => {
    const model = scriptedModel(() => "<|channel|>final<|message|>Hi<|return|>")
    const failing: ServedModel = {
      ...model,
      info: model.info,
      async *chat(messages, options) {
        for await (const event of model.chat(messages, options)) {
          yield event
          if (event.type === "content") throw new Error("out of luck")
        }
      },
    }
    const response = await post(appOf(failing), PATH, { messages: MESSAGES, stream: true })
    expect(response.status).toBe(200)
    const [last, empty] = (await response.text()).split("\n\n").slice(-2)
    expect(empty).toBe("")
    const error = JSON.parse(last.slice("data: ".length))
    expectOpenAI("ErrorResponse", error)
    expect(error).toMatchObject({ error: { type: "server_error" } })
  })

  it("frees the sequences of a client that leaves", async () => {
    let left = 0
    const model = scriptedModel(() => `<|channel|>final<|message|>${"long ".repeat(200)}<|return|>`)
    const watched: ServedModel = {
      ...model,
      info: model.info,
      async *chat(messages, options) {
        try {
          yield* model.chat(messages, options)
        } finally {
          left++
        }
      },
    }
    const response = await post(appOf(watched), PATH, { messages: MESSAGES, stream: true, n: 2 })
    const reader = response.body!.getReader()
    await reader.read()
    await reader.cancel()
    expect(left).toBe(2)
  })

  it("refuses with a status what cannot be answered", async () => {
    const response = await post(tinyApp, PATH, { messages: MESSAGES, stream: true, logit_bias: { 99999: 1 } })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { param: "logit_bias.99999" } })
  })
})
