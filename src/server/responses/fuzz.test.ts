import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { expectOpenAI } from "../../../test/server/openai_schemas.js"
import { appOf, isTooLong } from "../../../test/server/responses/checked.js"
import { scriptedModel } from "../../../test/server/scripted_model.js"
import { mutated } from "../../../test/server/mutated.js"

const TURN =
  '<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>commentary to=functions.f<|message|>{"a":1}<|call|>'
const app = appOf(scriptedModel(() => TURN))

const F = { type: "function", name: "f", parameters: { type: "object", properties: {} }, strict: true }
const G = { type: "custom", name: "g", format: { type: "grammar", syntax: "regex", definition: "a+" } }

/** Each is answered as it stands. */
const REQUESTS: readonly object[] = [
  {
    model: "scripted",
    instructions: "Be good",
    input: [
      { type: "message", role: "developer", content: "Be kind" },
      { role: "user", content: [{ type: "input_text", text: "Hi" }] },
      {
        type: "reasoning",
        id: "rs_1",
        summary: [{ type: "summary_text", text: "s" }],
        encrypted_content: "minerva1.eA",
      },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "I look", annotations: [] }] },
      { type: "function_call", id: "fc_1", call_id: "c1", name: "f", arguments: "{}", status: "completed" },
      { type: "custom_tool_call", call_id: "c2", name: "g", input: "x" },
      { type: "function_call_output", call_id: "c1", output: "1" },
      { type: "custom_tool_call_output", call_id: "c2", output: [{ type: "input_text", text: "x" }] },
      { type: "shell_call", call_id: "c3", action: { commands: ["ls"] } },
      { type: "shell_call_output", call_id: "c3", output: [{ stdout: "a" }] },
      { type: "item_reference", id: "fc_1" },
    ],
    tools: [F, G, { type: "web_search" }],
    tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "f" }] },
    include: ["reasoning.encrypted_content", "message.output_text.logprobs"],
    top_logprobs: 2,
    max_output_tokens: 60,
    metadata: { a: "b" },
    client_metadata: { a: { b: 1 } },
  },
  {
    input: "Hi",
    stream: true,
    stream_options: { include_obfuscation: false },
    store: false,
    temperature: 1,
    top_p: 0.9,
    reasoning: { effort: "low", summary: "auto" },
    text: { format: { type: "json_schema", name: "x", schema: { type: "object" }, strict: true }, verbosity: "low" },
    truncation: "auto",
    user: "me",
    prompt_cache_key: "k",
    safety_identifier: "s",
    service_tier: "auto",
    max_tool_calls: 5,
  },
]

/** A value with a word in the place of each of its texts in turn. */
function* withWord(value: unknown, word: string): Generator<unknown> {
  if (typeof value === "string") yield word
  if (typeof value !== "object" || value === null) return
  for (const [key, each] of Object.entries(value)) {
    for (const other of withWord(each, word)) {
      yield Array.isArray(value) ? value.with(Number(key), other) : { ...value, [key]: other }
    }
  }
}

const body = fc
  .constantFrom(...REQUESTS)
  .chain((request) => mutated(request))
  // Two wrongs may hide each other.
  .chain((once) => fc.oneof(fc.constant(once), mutated(once)))
  .map((body) => JSON.stringify(body) ?? "")

async function statusOf(body: string, path = "/v1/responses", method = "POST"): Promise<number> {
  const init = { method, ...(method === "POST" && { body, headers: { "content-type": "application/json" } }) }
  const response = await app.request(path, init)
  const text = await response.text()
  if (response.status === 200) {
    if (text.startsWith("event:")) {
      const [, last] = /\ndata: (.*)\n\n$/.exec(text)!
      const { response } = JSON.parse(last)
      if (!isTooLong(response)) expectOpenAI("Response", response)
    } else if (path === "/v1/responses" && !text.includes('"status":"queued"')) {
      expectOpenAI("Response", JSON.parse(text))
    }
    return 200
  }
  expect([400, 404]).toContain(response.status)
  expect(JSON.parse(text).error).toMatchObject({ message: expect.any(String), type: "invalid_request_error" })
  return response.status
}

describe("a request with something wrong in it", () => {
  it.each(REQUESTS)("is answered without: %j", async (request) => {
    expect(await statusOf(JSON.stringify(request))).toBe(200)
  })

  it("is answered or refused, never a fault", async () => {
    await fc.assert(
      fc.asyncProperty(body, async (body) => void (await statusOf(body))),
      { numRuns: 600 },
    )
  }, 60_000)

  it.each(["__proto__", "constructor", "toString", "hasOwnProperty"])("has %s in place of each word", async (word) => {
    for (const request of REQUESTS) {
      for (const body of withWord(request, word)) await statusOf(JSON.stringify(body))
    }
  })

  it("asks for what is not kept", async () => {
    const rest = fc.constantFrom("", "/input_items", "/input_items?limit=1e9", "/input_items?after=", "/cancel")
    const id = fc.oneof(fc.string(), fc.constantFrom("resp_", "__proto__", "%", "%2e%2e", "input_tokens"))
    await fc.assert(
      fc.asyncProperty(id, rest, fc.constantFrom("GET", "POST", "DELETE"), async (id, rest, method) => {
        const response = await app.request(`/v1/responses/${encodeURIComponent(id)}${rest}`, { method })
        expect([400, 404, 415]).toContain(response.status)
      }),
      { numRuns: 300 },
    )
  })

  it.each(["", "{", "[]", "null", "5", '"x"', '{"a":}', "\u0000", `{"input":${"[".repeat(100_000)}`])(
    "is no JSON object: %.20j",
    async (body) => {
      expect(await statusOf(body)).toBe(400)
      expect(await statusOf(body, "/v1/responses/input_tokens")).toBe(400)
    },
  )

  it.each([10_000, 100_000])("is nested %d deep", async (depth) => {
    const nested = `${'{"a":['.repeat(depth)}${"]}".repeat(depth)}`
    for (const body of [
      `{"input":${nested}}`,
      `{"input":[${nested}]}`,
      `{"input":[{"role":"user","content":${nested}}]}`,
      `{"input":[{"type":"local_shell_call","call_id":"c","action":${nested}}]}`,
      `{"input":[{"type":"local_shell_call","call_id":"c","action":{}},{"type":"local_shell_call_output","call_id":"c","output":${nested}}]}`,
      `{"input":"x","tools":[{"type":"function","name":"f","parameters":${nested}}]}`,
      `{"input":"x","metadata":${nested}}`,
      `{"input":"x","text":{"format":{"type":"json_schema","name":"a","schema":${nested}}}}`,
    ]) {
      await statusOf(body)
    }
  })
})
