import { describe, expect, it } from "vitest"
import { faceOf, post } from "../../../test/server/face.js"
import { expectOpenAI } from "../../../test/server/openai_schemas.js"
import { scriptedModel } from "../../../test/server/scripted_model.js"
import { loadModel } from "../../engine/node_model.js"
import { LocalModel } from "../local_model.js"
import type { ServedModel, TurnOptions } from "../served_model.js"
import { openaiError } from "./errors.js"
import { openaiRoutes } from "./routes.js"

const MESSAGES = [{ role: "user", content: "Hi" }]
const PARAMETERS = { type: "object", properties: { a: { type: "string" } } }
const F = { type: "function", function: { name: "f", parameters: PARAMETERS } }
const G = { type: "custom", custom: { name: "g" } }
const IMPOSSIBLE = { type: "object", properties: { a: { not: {} } } }
const HELD = { type: "function", function: { name: "h", parameters: IMPOSSIBLE, strict: true } }

const NULLS = [
  ...[
    "model",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "stop",
    "logit_bias",
    "frequency_penalty",
    "n",
    "user",
  ],
  ...[
    "presence_penalty",
    "max_tokens",
    "max_completion_tokens",
    "logprobs",
    "top_logprobs",
    "response_format",
    "tools",
  ],
  ...["tool_choice", "parallel_tool_calls", "functions", "function_call", "reasoning_effort", "reasoning", "verbosity"],
  ...["modalities", "audio", "prediction", "metadata", "store", "service_tier", "stream", "stream_options"],
]

/** What the model is asked for by a request. */
async function askedBy(body: object): Promise<TurnOptions> {
  const asked: TurnOptions[] = []
  const model = scriptedModel(() => "<|channel|>final<|message|>Hi<|return|>")
  const watched: ServedModel = {
    ...model,
    info: model.info,
    chat(messages, options) {
      asked.push(options)
      return model.chat(messages, options)
    },
  }
  const app = faceOf(openaiRoutes, openaiError, watched)
  const response = await post(app, "/v1/chat/completions", { messages: MESSAGES, ...body })
  expect(response.status, await response.clone().text()).toBe(200)
  return JSON.parse(JSON.stringify(asked[0]))
}

describe("a request", () => {
  it.each<[string, object, object]>([
    ["sampling", { temperature: 0.5, top_p: 0.9, seed: 7 }, { temperature: 0.5, top_p: 0.9, seed: 7 }],
    ["others' extensions", { top_k: 5, min_p: 0.1, repetition_penalty: 1.1 }, { top_k: 5, min_p: 0.1 }],
    ["llama-server's name of a penalty", { repeat_penalty: 1.2 }, { repetition_penalty: 1.2 }],
    ["vLLM's way to keep all tokens", { top_k: -1 }, { top_k: 0 }],
    ["penalties", { frequency_penalty: 1, presence_penalty: -1 }, { frequency_penalty: 1, presence_penalty: -1 }],
    ["biases", { logit_bias: { 42: -100 } }, { logit_bias: { 42: -100 } }],
    ["a seed of 64 bits", { seed: 2 ** 62 }, { seed: 2 ** 62 % Number.MAX_SAFE_INTEGER }],
    ["a limit", { max_tokens: 5 }, { max_tokens: 5 }],
    ["the newer limit first", { max_tokens: 5, max_completion_tokens: 6 }, { max_tokens: 6 }],
    ["no limit, as LM Studio says it", { max_tokens: -1 }, { max_tokens: null }],
    ["a stop string", { stop: "x" }, { stop: "x" }],
    ["an empty list of them", { stop: [] }, { stop: null }],
    ["effort", { reasoning_effort: "high" }, { reasoning_effort: "high" }],
    ["effort as OpenRouter says it", { reasoning: { effort: "low" } }, { reasoning_effort: "low" }],
    ["effort as vLLM says it", { chat_template_kwargs: { reasoning_effort: "low" } }, { reasoning_effort: "low" }],
    ["more effort than there is", { reasoning_effort: "max" }, { reasoning_effort: "xhigh" }],
    ["log-probabilities", { logprobs: true, top_logprobs: 2 }, { logprobs: true, top_logprobs: 2 }],
    ["text", { response_format: { type: "text" } }, { response_format: { type: "text" } }],
    ["any JSON", { response_format: { type: "json_object" } }, { response_format: { type: "json_object" } }],
    [
      "a schema",
      { response_format: { type: "json_schema", json_schema: { name: "x", strict: true, schema: PARAMETERS } } },
      { response_format: { type: "json_schema", name: "x", schema: PARAMETERS } },
    ],
    [
      "a schema as llama-server takes it",
      { response_format: { type: "json_object", schema: PARAMETERS } },
      { response_format: { type: "json_schema", name: "response", schema: PARAMETERS } },
    ],
    ["tools", { tools: [F, G] }, { tools: [F, G] }],
    [
      "tools of types that mean nothing here",
      { tools: [{ type: "web_search" }, F, { type: "mcp", x: 1 }] },
      { tools: [F] },
    ],
    ["tools in the older form", { functions: [F.function] }, { tools: [F] }],
    ["no choice", { tools: [F], tool_choice: "none" }, { tool_choice: "none" }],
    ["a required call", { tools: [F], tool_choice: "required" }, { tool_choice: "required" }],
    [
      "a named function",
      { tools: [F, G], tool_choice: { type: "function", function: { name: "f" } } },
      { tool_choice: { names: ["f"], required: true } },
    ],
    [
      "a named custom tool",
      { tools: [F, G], tool_choice: { type: "custom", custom: { name: "g" } } },
      { tool_choice: { names: ["g"], required: true } },
    ],
    [
      "a named function in the older form",
      { functions: [F.function], function_call: { name: "f" } },
      { tool_choice: { names: ["f"], required: true } },
    ],
    [
      "allowed tools",
      {
        tools: [F, G],
        tool_choice: {
          type: "allowed_tools",
          allowed_tools: { mode: "auto", tools: [{ type: "function", function: { name: "f" } }, { type: "mcp" }] },
        },
      },
      { tool_choice: { names: ["f"], required: false } },
    ],
    [
      "allowed tools, none of which is known here",
      {
        tools: [F],
        tool_choice: { type: "allowed_tools", allowed_tools: { mode: "required", tools: [{ type: "mcp" }] } },
      },
      { tool_choice: "none" },
    ],
    [
      "the choice of a tool that is skipped",
      { tools: [F], tool_choice: { type: "web_search" } },
      { tool_choice: "auto" },
    ],
  ])("asks the model for %s", async (_, body, expected) => {
    expect(await askedBy(body)).toMatchObject(expected)
  })

  it("tells the model of a custom tool's grammar", async () => {
    const format = { type: "grammar", grammar: { syntax: "lark", definition: "start: /x+/" } }
    const { tools } = await askedBy({ tools: [{ type: "custom", custom: { name: "g", description: "Gee", format } }] })
    expect(tools?.[0].custom?.description).toBe("Gee\n\nThe input is text of this lark grammar:\nstart: /x+/")
  })

  it.each<[string, object]>([
    ["who asks", { user: "u", safety_identifier: "s", metadata: { a: "b" }, store: true }],
    ["where it runs", { service_tier: "auto", prompt_cache_key: "k", prompt_cache_retention: "24h" }],
    ["how much is said", { verbosity: "low", prediction: { type: "content", content: "x" } }],
    ["what is text anyway", { modalities: ["text"], audio: null }],
    ["what nobody knows", { cache_prompt: true, options: {}, constructor: 1 }],
    ["nulls", Object.fromEntries(NULLS.map((name) => [name, null]))],
  ])("may say %s", async (_, body) => {
    await askedBy(body)
  })
})

const app = faceOf(
  openaiRoutes,
  openaiError,
  scriptedModel(() => "<|channel|>final<|message|>Hi<|return|>", "scripted", 500),
)

describe("what cannot be answered", () => {
  const image = { type: "image_url", image_url: { url: "data:," } }
  it.each<[object, string]>([
    [{ messages: undefined }, "messages"],
    [{ messages: "Hi" }, "messages"],
    [{ messages: [] }, "messages"],
    [{ messages: [{ role: "user" }] }, "messages.0.content"],
    [{ messages: [{ role: "user", content: [{ type: "text", text: "x" }, image] }] }, "messages.0.content.1.type"],
    [{ messages: [{ role: "wizard", content: "x" }] }, "messages.0.role"],
    [{ messages: [{ role: "tool", content: "x", tool_call_id: "c" }] }, "messages.0.tool_call_id"],
    [{ model: 5 }, "model"],
    [{ temperature: 3 }, "temperature"],
    [{ temperature: "hot" }, "temperature"],
    [{ top_p: 2 }, "top_p"],
    [{ n: 0 }, "n"],
    [{ n: 129 }, "n"],
    [{ n: 1.5 }, "n"],
    [{ max_tokens: 0 }, "max_tokens"],
    [{ max_completion_tokens: "many" }, "max_completion_tokens"],
    [{ seed: 0.5 }, "seed"],
    [{ stop: [""] }, "stop"],
    [{ stop: 5 }, "stop"],
    [{ stop: "\ud800" }, "stop"],
    [{ logit_bias: { x: 1 } }, "logit_bias.x"],
    [{ logit_bias: [1] }, "logit_bias"],
    [{ logit_bias: { 3: 101 } }, "logit_bias.3"],
    [{ top_logprobs: 21, logprobs: true }, "top_logprobs"],
    [{ top_logprobs: 2 }, "top_logprobs"],
    [{ repeat_penalty: -1 }, "repeat_penalty"],
    [{ stream: "yes" }, "stream"],
    [{ stream_options: 1 }, "stream_options"],
    [{ reasoning_effort: "huge" }, "reasoning_effort"],
    [{ reasoning: { effort: "huge" } }, "reasoning.effort"],
    [{ audio: { voice: "alloy", format: "wav" } }, "audio"],
    [{ modalities: ["text", "audio"] }, "modalities.1"],
    [{ metadata: "x" }, "metadata"],
    [{ tools: {} }, "tools"],
    [{ tools: [5] }, "tools.0"],
    [{ tools: [{ type: 5 }] }, "tools.0.type"],
    [{ tools: [{ type: "function" }] }, "tools.0.function"],
    [{ tools: [{ type: "mcp" }, { type: "function", function: { name: "a b" } }] }, "tools.1.function.name"],
    [{ tools: [F, F] }, "tools.1.function.name"],
    [{ tools: [{ type: "custom" }] }, "tools.0.custom"],
    [{ tools: [{ type: "custom", custom: { name: "g", format: { type: "x" } } }] }, "tools.0.custom.format.type"],
    [{ functions: [{ name: "a b" }] }, "functions.0.name"],
    [{ tool_choice: "maybe" }, "tool_choice"],
    [{ tool_choice: "required" }, "tool_choice"],
    [{ tools: [F], tool_choice: { type: "function" } }, "tool_choice.function"],
    [{ tools: [F], tool_choice: { type: "function", function: { name: "g" } } }, "tool_choice.function.name"],
    [{ functions: [F.function], function_call: { name: "g" } }, "function_call.name"],
    [
      {
        tools: [F],
        tool_choice: { type: "allowed_tools", allowed_tools: { mode: "auto", tools: [{ type: "mcp" }, G] } },
      },
      "tool_choice.allowed_tools.tools.1",
    ],
    [{ response_format: "json" }, "response_format"],
    [{ response_format: { type: "xml" } }, "response_format.type"],
    [{ response_format: { type: "json_schema" } }, "response_format.json_schema"],
    [
      { response_format: { type: "json_schema", json_schema: { name: "x", schema: 5 } } },
      "response_format.json_schema.schema",
    ],
  ])("%j names its parameter", async (body, param) => {
    for (const stream of [false, true]) {
      const response = await post(app, "/v1/chat/completions", { messages: MESSAGES, stream, ...body })
      const error = await response.json()
      expectOpenAI("ErrorResponse", error)
      expect(error).toMatchObject({ error: { type: "invalid_request_error", param } })
      expect(error.error.message).toContain(param)
      expect(response.status).toBe(400)
    }
  })

  it.each<[object, string]>([
    [{ response_format: { type: "json_schema", json_schema: { name: "x", schema: IMPOSSIBLE } } }, "response_format"],
    [{ tools: [{ type: "mcp" }, F, HELD] }, "tools.2"],
    [{ functions: [F.function, HELD.function] }, "functions.1"],
  ])("is what no grammar holds to: %j", async (body, param) => {
    const tiny = faceOf(openaiRoutes, openaiError, new LocalModel(await loadModel("models/minerva-tiny")))
    const response = await post(tiny, "/v1/chat/completions", { messages: MESSAGES, ...body })
    expect(await response.json()).toMatchObject({
      error: { type: "invalid_request_error", param, message: expect.stringContaining("properties.a.not") },
    })
    expect(response.status).toBe(400)
  })

  it("is a conversation that does not fit: both numbers are told", async () => {
    const messages = [{ role: "user", content: "x".repeat(600) }]
    const response = await post(app, "/v1/chat/completions", { messages })
    expect(response.status).toBe(400)
    const error = await response.json()
    expect(error).toMatchObject({ error: { code: "context_length_exceeded", type: "invalid_request_error" } })
    expect(error.error.message).toMatch(/maximum context length is 500 tokens.*needs [67]\d\d tokens/)
  })

  it.each(["/v1/chat/completions", "/v1/completions"])("is one to a model that is not there: %s", async (path) => {
    const response = await post(app, path, { model: "gpt-x", messages: MESSAGES, prompt: "x" })
    expect(response.status).toBe(404)
    const error = await response.json()
    expectOpenAI("ErrorResponse", error)
    expect(error).toMatchObject({ error: { code: "model_not_found", param: "model" } })
  })
})
