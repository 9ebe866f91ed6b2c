import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { faceOf, post } from "../../../test/server/face.js"
import { expectOpenAI } from "../../../test/server/openai_schemas.js"
import { scriptedModel } from "../../../test/server/scripted_model.js"
import { llamaRoutes } from "../llama/routes.js"
import { openaiError } from "./errors.js"
import { openaiRoutes } from "./routes.js"
import { mutated } from "../../../test/server/mutated.js"

const TURN =
  '<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>commentary to=functions.f<|message|>{"a":1}<|call|>'
const app = faceOf(
  (context) => openaiRoutes(context).route("/", llamaRoutes(context)),
  openaiError,
  scriptedModel(() => TURN),
)

const F = { type: "function", function: { name: "f", parameters: { type: "object", properties: {} }, strict: true } }
const CALL = { id: "c1", type: "function", function: { name: "f", arguments: "{}" } }
const CUSTOM_CALL = { id: "c2", type: "custom", custom: { name: "g", input: "x" } }
const JSON_SCHEMA = { type: "json_schema", json_schema: { name: "x", schema: { type: "object" }, strict: true } }
const ALLOWED = { mode: "auto", tools: [{ type: "function", function: { name: "f" } }] }

/** Each is answered as it stands. */
const REQUESTS: readonly (readonly [string, object])[] = [
  [
    "/v1/chat/completions",
    {
      model: "scripted",
      messages: [
        { role: "developer", content: "Be good" },
        { role: "user", content: [{ type: "text", text: "Hi" }], name: "me" },
        { role: "assistant", content: null, reasoning: "r", tool_calls: [CALL, CUSTOM_CALL] },
        { role: "tool", tool_call_id: "c1", content: "1" },
        { role: "tool", tool_call_id: "c2", content: [{ type: "text", text: "x" }] },
      ],
      tools: [F, { type: "custom", custom: { name: "g", format: { type: "text" } } }, { type: "mcp" }],
      tool_choice: { type: "allowed_tools", allowed_tools: ALLOWED },
      parallel_tool_calls: false,
      n: 2,
      stop: ["a", "b"],
      seed: 5,
      logit_bias: { 5: 1 },
      logprobs: true,
      top_logprobs: 2,
      max_completion_tokens: 50,
      reasoning_effort: "low",
      reasoning: { effort: "low" },
      metadata: { a: "b" },
    },
  ],
  [
    "/v1/chat/completions",
    {
      messages: [{ role: "user", content: "Hi" }],
      stream: true,
      stream_options: { include_usage: true },
      functions: [F.function],
      function_call: { name: "f" },
      temperature: 1,
      top_p: 0.9,
      frequency_penalty: 1,
      presence_penalty: 1,
      chat_template_kwargs: { reasoning_effort: "high" },
      user: "me",
    },
  ],
  ["/v1/chat/completions", { messages: [{ role: "user", content: "Hi" }], response_format: JSON_SCHEMA, tools: [F] }],
  ["/v1/completions", { prompt: ["ab", [5, 6]], max_tokens: 3, n: 2, logprobs: 2, best_of: 3, stop: "x", seed: 1 }],
  ["/v1/completions", { prompt: [5, 6], max_tokens: 3, stream: true, echo: true }],
  ["/v1/embeddings", { input: "x" }],
  ["/tokenize", { content: "Hello", parse_special: false, with_pieces: false }],
  ["/detokenize", { tokens: [1, 2] }],
  ["/apply-template", { messages: [{ role: "user", content: "Hi" }], tools: [F] }],
]

const request = fc.constantFrom(...REQUESTS).chain(([path, body]) =>
  // Two wrongs may hide each other.
  mutated(body)
    .chain((once) => fc.oneof(fc.constant(once), mutated(once)))
    .map((body) => ({ path, body: JSON.stringify(body) ?? "" })),
)

async function expectAnswer(path: string, body: string): Promise<number> {
  const response = await post(app, path, body)
  const text = await response.text()
  if (response.status === 200) {
    if (!text.startsWith("data:")) JSON.parse(text)
    else expect(text).toMatch(/\ndata: \[DONE\]\n\n$/)
    return 200
  }
  expect([400, 404, 501]).toContain(response.status)
  expectOpenAI("ErrorResponse", JSON.parse(text))
  return response.status
}

describe("a request with something wrong in it", () => {
  it.each(REQUESTS)("is answered without: %s", async (path, body) => {
    expect(await expectAnswer(path, JSON.stringify(body))).toBe(path === "/v1/embeddings" ? 501 : 200)
  })

  it("is answered or refused, never a fault", async () => {
    await fc.assert(
      fc.asyncProperty(request, async ({ path, body }) => {
        await expectAnswer(path, body)
      }),
      { numRuns: 1500 },
    )
  }, 60_000)

  it.each(["", "{", "[]", "null", "5", '"x"', '{"a":}', "\u0000", `{"messages":${"[".repeat(100_000)}`])(
    "is no JSON object: %.20j",
    async (body) => {
      for (const path of new Set(REQUESTS.map(([path]) => path).filter((path) => path !== "/v1/embeddings"))) {
        expect(await expectAnswer(path, body)).toBe(400)
      }
    },
  )

  it.each([10_000, 100_000])("is nested %d deep", async (depth) => {
    const nested = `${'{"a":['.repeat(depth)}${"]}".repeat(depth)}`
    const tool = `{"type":"function","function":{"name":"f","parameters":${nested}}}`
    for (const body of [
      `{"messages":${nested}}`,
      `{"messages":[{"role":"user","content":${nested}}]}`,
      `{"messages":[{"role":"user","content":"x"}],"tools":[${tool}]}`,
      `{"messages":[{"role":"user","content":"x"}],"metadata":${nested}}`,
      `{"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"schema":${nested}}}}`,
      `{"messages":[{"role":"tool","name":"f","content":${nested}}]}`,
    ]) {
      await expectAnswer("/v1/chat/completions", body)
    }
  })
})
