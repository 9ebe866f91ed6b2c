import fc from "fast-check"
import type { Hono } from "hono"
import { describe, expect, it } from "vitest"
import { faceOf, post } from "../../../test/server/face.js"
import { scriptedModel } from "../../../test/server/scripted_model.js"
import { RequestError } from "../request_error.js"
import type { TurnOptions } from "../served_model.js"
import { ollamaError } from "./errors.js"
import { ollamaRoutes } from "./routes.js"

const HI = "<|channel|>final<|message|>Hi.<|return|>"
const ask = { model: "gpt-oss", messages: [{ role: "user", content: "Hello" }] }

/** A model that says `answers` in turn, with the prompts and options that it was given. */
function scripted(...answers: string[]) {
  const prompts: string[] = []
  const options: TurnOptions[] = []
  const model = scriptedModel((prompt) => answers[Math.min(prompts.push(prompt), answers.length) - 1], "gpt-oss")
  const { chat } = model
  model.chat = (messages, given) => {
    options.push(given)
    return chat.call(model, messages, given)
  }
  return { prompts, options, app: faceOf(ollamaRoutes, ollamaError, model) }
}

async function call(app: Hono, path: string, body: object) {
  const response = await post(app, path, { stream: false, ...body })
  return { status: response.status, body: await response.json() }
}

async function lines(app: Hono, path: string, body: object) {
  const response = await post(app, path, body)
  expect(response.headers.get("content-type")).toBe("application/x-ndjson")
  return (await response.text())
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))
}

const tool = (name: string) => ({
  type: "function",
  function: { name, description: "Does.", parameters: { type: "object", properties: {} } },
})
const called = (name: string, id?: string) => ({ ...(id && { id }), function: { name, arguments: { a: 1 } } })

describe("what a request says to the model", () => {
  it.each([
    ["by id", { tool_call_id: "2" }, ["b"]],
    ["by name", { tool_name: "b" }, ["b"]],
    ["by the older name", { name: "b" }, ["b"]],
    ["in order", {}, ["a"]],
  ])("names results %s", async (_, field, [expected]) => {
    const { app, prompts } = scripted(HI)
    const messages = [
      ...ask.messages,
      { role: "assistant", content: "", thinking: "Two.", tool_calls: [called("a", "1"), called("b", "2")] },
      { role: "tool", content: "done", ...field },
    ]
    expect((await call(app, "/api/chat", { ...ask, messages, tools: [tool("a"), tool("b")] })).status).toBe(200)
    expect(prompts[0]).toContain(
      `<|start|>functions.${expected} to=assistant<|channel|>commentary<|message|>done<|end|>`,
    )
    expect(prompts[0]).toContain("<|channel|>analysis<|message|>Two.<|end|><|start|>assistant to=functions.a")
  })

  it("names several results in the order of their calls", async () => {
    const { app, prompts } = scripted(HI)
    const results = ["one", "two"].map((content) => ({ role: "tool", content }))
    const messages = [...ask.messages, { role: "assistant", tool_calls: [called("a"), called("b")] }, ...results]
    await call(app, "/api/chat", { ...ask, messages })
    expect(prompts[0]).toMatch(/functions\.a to=assistant.*one.*functions\.b to=assistant.*two/s)
  })

  it("passes on options, and what they are called here", async () => {
    const { app, options } = scripted(HI)
    const given = {
      temperature: 0.3,
      top_k: 9,
      top_p: 0.8,
      min_p: 0.1,
      seed: 7,
      presence_penalty: 1,
      frequency_penalty: 0.5,
    }
    await call(app, "/api/chat", {
      ...ask,
      options: { ...given, num_predict: 50, stop: ["x"], repeat_penalty: 1.1, num_ctx: 2048, num_gpu: 1 },
      keep_alive: "5m",
    })
    expect(options[0]).toMatchObject({
      ...given,
      max_tokens: 50,
      stop: ["x"],
      repetition_penalty: 1.1,
      repetition_context_size: 64,
    })
    await call(app, "/api/chat", {
      ...ask,
      options: { num_predict: -1, stop: "y", repeat_penalty: 1.1, repeat_last_n: -1 },
    })
    expect(options[1]).toMatchObject({ max_tokens: null, stop: ["y"], repetition_penalty: 1.1 })
    expect(options[1]).not.toHaveProperty("repetition_context_size")
    await call(app, "/api/chat", { ...ask, options: { repeat_penalty: 1.1, repeat_last_n: 0 } })
    expect(options[2]).not.toHaveProperty("repetition_penalty")
  })

  it.each([
    [{}, null, null],
    [{ think: true }, null, null],
    [{ think: false }, "none", null],
    [{ think: "low" }, "low", null],
    [{ think: "max" }, "xhigh", null],
    [{ format: "json" }, null, { type: "json_object" }],
    [{ format: "" }, null, null],
    [{ format: { type: "object" } }, null, { type: "json_schema", name: "response", schema: { type: "object" } }],
  ])("takes %j for an effort and a format", async (body, reasoning_effort, response_format) => {
    const { app, options } = scripted(HI)
    for (const path of ["/api/chat", "/api/generate"]) {
      expect((await call(app, path, { ...ask, prompt: "Hello", ...body })).status).toBe(200)
    }
    for (const given of options) expect(given).toMatchObject({ reasoning_effort, response_format })
  })

  it("has a prompt as the user's message after the system's, or as it is", async () => {
    const { app, prompts } = scripted(HI, " then.<|return|>")
    await call(app, "/api/generate", { model: "gpt-oss", prompt: "Hello", system: "Be brief." })
    expect(prompts[0]).toContain(
      "# Instructions\n\nBe brief.<|end|><|start|>user<|message|>Hello<|end|><|start|>assistant",
    )
    const { body } = await call(app, "/api/generate", { model: "gpt-oss", prompt: "<|start|>now", raw: true })
    expect(prompts[1]).toBe("<|start|>now")
    expect(body.response).toBe(" then.")
  })

  it("loads a model", async () => {
    const { app } = scripted(HI)
    const done = { model: "gpt-oss", done: true, done_reason: "load" }
    expect((await call(app, "/api/chat", { model: "gpt-oss", messages: [] })).body).toMatchObject({
      ...done,
      message: { content: "" },
    })
    expect((await call(app, "/api/generate", { model: "gpt-oss" })).body).toMatchObject({ ...done, response: "" })
  })

  it("may come from curl, which says that it is a form, but not from a page's form", async () => {
    const { app } = scripted(HI)
    const form = { "content-type": "application/x-www-form-urlencoded" }
    const body = { ...ask, stream: false }
    expect((await post(app, "/api/chat", body, form)).status).toBe(200)
    expect((await post(app, "/api/chat", body, { ...form, origin: "http://evil.example" })).status).toBe(415)
  })
})

describe("what the model says", () => {
  const thought = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"
  const asks = `${thought}<|channel|>commentary to=functions.a <|constrain|>json<|message|>{ "x": 1 }<|call|>`

  it("comes in lines, a call as a whole", async () => {
    const { app, prompts } = scripted(asks, HI)
    const all = await lines(app, "/api/chat", { ...ask, tools: [tool("a")] })
    const calls = all.flatMap(({ message }) => message.tool_calls ?? [])
    expect(calls).toMatchObject([{ id: expect.any(String), function: { index: 0, name: "a", arguments: { x: 1 } } }])
    expect(all.map(({ message }) => message.thinking ?? "").join("")).toBe("Hm.")
    expect(all.at(-1)).toMatchObject({ done: true, done_reason: "stop", message: { role: "assistant", content: "" } })
    const message = { role: "assistant", content: "", thinking: "Hm.", tool_calls: calls }
    await call(app, "/api/chat", { ...ask, messages: [...ask.messages, message, { role: "tool", content: "y" }] })
    expect(prompts[1]).toContain('<|message|>{ "x": 1 }<|call|>')
  })

  it("is remembered where thinking was not shown", async () => {
    const { app, prompts } = scripted(asks, HI)
    const { body } = await call(app, "/api/chat", { ...ask, think: false, tools: [tool("a")] })
    expect(body.message.thinking).toBeUndefined()
    await call(app, "/api/chat", { ...ask, messages: [...ask.messages, body.message, { role: "tool", content: "y" }] })
    expect(prompts[1]).toContain("<|channel|>analysis<|message|>Hm.<|end|>")
  })

  it("has log-probabilities, streamed and not", async () => {
    const { app } = scripted(HI)
    const { body } = await call(app, "/api/chat", { ...ask, logprobs: true, top_logprobs: 0 })
    expect(body.logprobs.map(({ token }: { token: string }) => token).join("")).toBe("Hi.")
    const all = await lines(app, "/api/generate", { model: "gpt-oss", prompt: "Hello", logprobs: true })
    expect(all.flatMap(({ logprobs = [] }) => logprobs)).toEqual(body.logprobs)
  })

  it("ends with an error's line where it fails", async () => {
    const model = scriptedModel(() => HI, "gpt-oss")
    model.chat = async function* () {
      yield { type: "content", text: "Well" }
      throw new RequestError("unavailable", "the server stops")
    }
    const all = await lines(faceOf(ollamaRoutes, ollamaError, model), "/api/chat", ask)
    expect(all).toMatchObject([{ message: { content: "Well" } }, { error: "the server stops" }])
  })
})

describe("what cannot be answered", () => {
  it.each([
    ["/api/chat", { model: undefined }, 400, "model: "],
    ["/api/chat", { model: "other" }, 404, "no model is named"],
    ["/api/chat", { messages: [{ role: "robot" }] }, 400, "messages.0.role: "],
    [
      "/api/chat",
      { messages: [{ role: "user", content: "x", images: ["AAAA"] }] },
      400,
      "messages.0.images: expected no images",
    ],
    ["/api/chat", { messages: [{ role: "tool", content: "x" }] }, 400, "messages.0.tool_name: "],
    ["/api/chat", { options: { num_ctx: 1e6 } }, 400, "options.num_ctx: at most 4096"],
    ["/api/chat", { options: { temperature: "hot" } }, 400, "options.temperature: "],
    ["/api/chat", { think: "deeply" }, 400, "think: "],
    ["/api/chat", { format: "xml" }, 400, "format: "],
    ["/api/generate", { prompt: "x", suffix: "y" }, 400, "suffix: "],
    ["/api/generate", { prompt: "x", template: "{{ .Prompt }}" }, 400, "template: "],
    ["/api/generate", { prompt: "x", context: [1, 2] }, 400, "context: "],
    ["/api/generate", { prompt: "x", raw: true, format: "json" }, 400, "format: "],
    ["/api/show", { model: "other" }, 404, "no model is named"],
    ["/api/show", { model: undefined }, 400, "model is required"],
    ["/api/embed", {}, 501, "/api/embed: "],
    ["/api/push", {}, 501, "/api/push: "],
  ])("%s with %j is a clear error", async (path, body, status, message) => {
    const { app } = scripted(HI)
    for (const stream of [false, true]) {
      const answer = await call(app, path, { ...ask, ...body, stream })
      expect(answer.status).toBe(status)
      expect(answer.body.error.startsWith(message), answer.body.error).toBe(true)
    }
  })

  it("is never a fault of the server, whatever is sent", async () => {
    const { app } = scripted(HI)
    const message = fc.record(
      {
        role: fc.constantFrom("user", "assistant", "system", "tool", "x"),
        content: fc.oneof(fc.string({ unit: "binary" }), fc.jsonValue()),
        thinking: fc.oneof(fc.string(), fc.jsonValue()),
        tool_calls: fc.oneof(
          fc.array(
            fc.oneof(
              fc.record({
                function: fc.record({
                  name: fc.constantFrom("a", "constructor", "a b"),
                  arguments: fc.oneof(fc.object(), fc.string(), fc.jsonValue()),
                }),
              }),
              fc.jsonValue(),
            ),
            { maxLength: 2 },
          ),
          fc.jsonValue(),
        ),
        tool_name: fc.constantFrom("a", "__proto__", "a b", ""),
      },
      { requiredKeys: ["role"] },
    )
    const body = fc.record(
      {
        messages: fc.oneof(fc.array(message, { maxLength: 4 }), fc.jsonValue()),
        prompt: fc.oneof(fc.string(), fc.jsonValue()),
        system: fc.oneof(fc.string(), fc.jsonValue()),
        raw: fc.constantFrom(true, false, null),
        tools: fc.oneof(fc.constant([tool("a")]), fc.jsonValue()),
        think: fc.oneof(fc.boolean(), fc.jsonValue()),
        format: fc.jsonValue(),
        options: fc.oneof(
          fc.dictionary(
            fc.constantFrom(
              "temperature",
              "top_k",
              "seed",
              "num_predict",
              "stop",
              "repeat_penalty",
              "repeat_last_n",
              "num_ctx",
            ),
            fc.oneof(fc.double(), fc.integer(), fc.jsonValue()),
          ),
          fc.jsonValue(),
        ),
        stream: fc.constantFrom(true, false, null, 1),
        logprobs: fc.oneof(fc.boolean(), fc.jsonValue()),
        top_logprobs: fc.double(),
      },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(body, fc.constantFrom("/api/chat", "/api/generate", "/api/show"), async (body, path) => {
        const response = await post(app, path, { ...ask, ...body })
        expect([200, 400]).toContain(response.status)
        expect(await response.text()).not.toContain("the model failed")
      }),
      { numRuns: 250 },
    )
  })
})
