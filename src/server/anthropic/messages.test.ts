import fc from "fast-check"
import type { Hono } from "hono"
import { describe, expect, it, vi } from "vitest"
import { faceOf, post } from "../../../test/server/face.js"
import { scriptedModel } from "../../../test/server/scripted_model.js"
import { RequestError } from "../request_error.js"
import type { TurnOptions } from "../served_model.js"
import { anthropicError } from "./errors.js"
import { anthropicRoutes } from "./routes.js"

/** A model that says `answers` in turn, with the prompts and options that it was given. */
function scripted(...answers: string[]) {
  const prompts: string[] = []
  const options: TurnOptions[] = []
  const model = scriptedModel(
    (prompt) => answers[Math.min(prompts.push(prompt), answers.length) - 1],
    "gpt-oss-20b",
    1 << 13,
  )
  const { chat } = model
  model.chat = (messages, given) => {
    options.push(given)
    return chat.call(model, messages, given)
  }
  return { prompts, options, app: faceOf(anthropicRoutes, anthropicError, model) }
}

const HI = "<|channel|>final<|message|>Hi.<|return|>"
const ask = { model: "gpt-oss-20b", max_tokens: 1000, messages: [{ role: "user", content: "Hello" }] }

async function create(app: Hono, body: object) {
  const response = await post(app, "/v1/messages?beta=true", { ...ask, ...body })
  return { status: response.status, body: await response.json() }
}

/** The events of a stream, whose names have to be those of their data. */
async function events(app: Hono, body: object) {
  const response = await post(app, "/v1/messages", { ...ask, ...body, stream: true })
  expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/)
  const blocks = (await response.text()).split("\n\n").filter(Boolean)
  return blocks.map((block) => {
    const [, event, data] = /^event: (\w+)\ndata: (.+)$/.exec(block)!
    const parsed = JSON.parse(data)
    expect(parsed.type).toBe(event)
    return parsed
  })
}

/** The blocks that a stream tells, one after the other. */
// biome-ignore lint/suspicious/noExplicitAny: as JSON.parse gives them
function contentOf(all: any[]) {
  // biome-ignore lint/suspicious/noExplicitAny: as JSON.parse gives them
  const content: any[] = []
  for (const { type, index, content_block, delta } of all) {
    if (type === "content_block_start") expect(content.push({ ...content_block, json: "" })).toBe(index + 1)
    if (type === "content_block_delta") {
      expect(index).toBe(content.length - 1)
      const block = content[index]
      if (delta.type === "text_delta") block.text += delta.text
      else if (delta.type === "thinking_delta") block.thinking += delta.thinking
      else if (delta.type === "signature_delta") block.signature += delta.signature
      else block.json += delta.partial_json
    }
  }
  return content.map(({ json, ...block }) => ({
    ...block,
    ...(block.type === "tool_use" && { input: JSON.parse(json) }),
  }))
}

/** The prompt that a request makes, from the developer's message on. */
async function promptOf(body: object): Promise<string> {
  const { app, prompts } = scripted(HI)
  const { status, body: answer } = await create(app, body)
  expect(status, JSON.stringify(answer)).toBe(200)
  return prompts[0].replace(/^.*?<\|end\|>/s, "")
}

const read = {
  name: "read",
  description: "Reads a file.",
  input_schema: { type: "object", properties: { path: { type: "string" } }, required: ["path"] },
}
const use = { type: "tool_use", id: "toolu_1", name: "read", input: { path: "a" } }
const result = (content: unknown, more = {}) => ({ type: "tool_result", tool_use_id: "toolu_1", content, ...more })
const loop = (content: unknown, more = {}): { role: string; content: string | object[] }[] => [
  { role: "user", content: "Read a" },
  { role: "assistant", content: [use] },
  { role: "user", content: [result(content, more)] },
]
const USER = "<|start|>user<|message|>Hello<|end|><|start|>assistant"

describe("what a request says to the model", () => {
  it("has the system's text, without the line that changes", async () => {
    const billing = "x-anthropic-billing-header: cc_version=2.1.197.73f; cc_entrypoint=cli;"
    const told = `<|start|>developer<|message|># Instructions\n\nBe brief.\n\nBe kind.<|end|>${USER}`
    expect(await promptOf({ system: "Be brief.\n\nBe kind." })).toBe(told)
    expect(await promptOf({ system: `${billing}\nBe brief.\n\nBe kind.` })).toBe(told)
    const blocks = [billing, "Be brief.", "Be kind."].map((text) => ({
      type: "text",
      text,
      cache_control: { type: "ephemeral" },
    }))
    expect(await promptOf({ system: blocks })).toBe(told)
    expect(await promptOf({ system: [] })).toBe(USER)
  })

  it("has messages of the system where they stand", async () => {
    const messages = [
      { role: "user", content: "Hello" },
      { role: "system", content: [{ type: "text", text: "Be brief." }] },
    ]
    const before = USER.replace("<|start|>assistant", "")
    const told = `${before}<|start|>developer<|message|># Instructions\n\nBe brief.<|end|>`
    expect(await promptOf({ messages })).toBe(`${told}<|start|>assistant`)
    const later = [...messages, { role: "assistant", content: "Hi." }, { role: "user", content: "Bye" }]
    expect(await promptOf({ messages: later })).toMatch(told)
    const passing = later.map((message) =>
      message.role === "system" ? { ...message, clear_at: "next_user_message" } : message,
    )
    expect(await promptOf({ messages: passing })).not.toMatch("Be brief.")
  })

  it("has results as messages of their tools, and what stands beside them", async () => {
    const call =
      '<|start|>assistant to=functions.read<|channel|>commentary <|constrain|>json<|message|>{"path":"a"}<|call|>'
    const answer = (text: string) =>
      `${call}<|start|>functions.read to=assistant<|channel|>commentary<|message|>${text}<|end|>`
    const told = async (content: unknown, more = {}) => promptOf({ tools: [read], messages: loop(content, more) })
    expect(await told("text")).toContain(answer("text"))
    expect(
      await told([
        { type: "text", text: "one" },
        { type: "text", text: "two" },
      ]),
    ).toContain(answer("one\n\ntwo"))
    expect(await told(undefined)).toContain(answer(""))
    expect(await told("no such file", { is_error: true })).toContain(answer("Error: no such file"))
    expect(await told("<tool_use_error>no</tool_use_error>", { is_error: true })).toContain(
      answer("<tool_use_error>no</tool_use_error>"),
    )
    const document = { type: "document", title: "T", source: { type: "text", media_type: "text/plain", data: "words" } }
    expect(await told([document])).toContain(answer("T\n\nwords"))
    const both = loop("text")
    ;(both[2].content as object[]).push({ type: "text", text: "And now?" })
    expect(await promptOf({ tools: [read], messages: both })).toContain(
      `${answer("text")}<|start|>user<|message|>And now?<|end|>`,
    )
  })

  it("has thinking while a call is open, and skips what only other servers make", async () => {
    const messages = loop("text")
    messages[1].content = [
      { type: "redacted_thinking", data: "x" },
      { type: "thinking", thinking: "Reading helps.", signature: "of another server" },
      { type: "text", text: "I read." },
      { type: "server_tool_use", id: "s", name: "web_search", input: {} },
      { type: "web_search_tool_result", tool_use_id: "s", content: [] },
      use,
    ]
    expect(await promptOf({ tools: [read], messages })).toContain(
      "<|start|>assistant<|channel|>analysis<|message|>Reading helps.<|end|>" +
        "<|start|>assistant<|channel|>commentary<|message|>I read.<|end|><|start|>assistant to=functions.read",
    )
  })

  it("offers the client's tools alone", async () => {
    const tools = [
      { type: "web_search_20250305", name: "web_search" },
      { ...read, type: "custom", cache_control: null },
      { type: "bash_20250124", name: "bash" },
    ]
    const { app, options } = scripted(HI)
    expect((await create(app, { tools })).status).toBe(200)
    expect(options[0].tools).toEqual([
      { name: "read", description: "Reads a file.", parameters: read.input_schema, deferred: false },
    ])
  })

  it.each([
    [{ type: "auto" }, null],
    [{ type: "any" }, "required"],
    [{ type: "none" }, "none"],
    [
      { type: "tool", name: "read" },
      { names: ["read"], required: true },
    ],
  ])("knows the tool choice %j", async (tool_choice, expected) => {
    const { app, options } = scripted(HI)
    expect((await create(app, { tools: [{ ...read, strict: true }], tool_choice })).status).toBe(200)
    expect(options[0]).toMatchObject({ tool_choice: expected, tools: [{ strict: true }] })
  })

  it.each([
    [{}, null],
    [{ thinking: { type: "disabled" }, output_config: { effort: "high" } }, "none"],
    [{ thinking: { type: "adaptive" } }, null],
    [{ thinking: { type: "adaptive" }, output_config: { effort: "low" } }, "low"],
    [{ output_config: { effort: "max" } }, "xhigh"],
    [{ thinking: { type: "enabled", budget_tokens: 1024 } }, "low"],
    [{ thinking: { type: "enabled", budget_tokens: 10_000 } }, "medium"],
    [{ thinking: { type: "enabled", budget_tokens: 31_999 } }, "high"],
  ])("takes %j for an effort", async (body, expected) => {
    const { app, options } = scripted(HI)
    await create(app, body)
    expect(options[0].reasoning_effort).toBe(expected)
  })

  it("passes on how to sample, and the format of the answer", async () => {
    const { app, options } = scripted(HI)
    const schema = { type: "object", properties: {} }
    const format = { type: "json_schema", schema }
    await create(app, {
      temperature: 0.5,
      top_p: 0.9,
      top_k: 5,
      stop_sequences: ["x"],
      output_format: format,
      metadata: { user_id: "u" },
    })
    expect(options[0]).toMatchObject({ temperature: 0.5, top_p: 0.9, top_k: 5, stop: ["x"], max_tokens: 1000 })
    await create(app, { output_config: { format }, context_management: { edits: [] }, stop_sequences: [] })
    const response_format = { type: "json_schema", name: "response", schema }
    expect(options.map((given) => given.response_format)).toEqual([response_format, response_format])
  })
})

describe("deferred tools", () => {
  const late = { ...read, name: "late", defer_loading: true }
  const find = { name: "find", description: "Finds tools.", input_schema: { type: "object", properties: {} } }
  const DEFINITION = "namespace functions {\n\n// Reads a file.\ntype late = (_: {\npath: string,\n}) => any;"

  it.each([
    ["a result", (tool: object) => [{ role: "user", content: [{ ...result([tool]), tool_use_id: "f" }] }]],
    [
      "a message",
      (tool: object) => [
        { role: "system", content: [tool] },
        { role: "user", content: "Go on" },
      ],
    ],
  ])("are told of in %s, and the prompt before it stays", async (_, bring) => {
    const asked = [
      { role: "user", content: "Find one" },
      { role: "assistant", content: [{ ...use, id: "f", name: "find", input: {} }] },
      { role: "user", content: [{ ...result("looking"), tool_use_id: "f" }] },
    ]
    const reference =
      _ === "a result"
        ? { type: "tool_reference", tool_name: "late" }
        : { type: "tool_addition", tool: { type: "tool_reference", name: "late" } }
    const before = await promptOf({ tools: [find], messages: asked })
    const { app, prompts, options } = scripted(HI)
    await create(app, { tools: [find, late], messages: [...asked, ...bring(reference)] })
    const after = prompts[0].replace(/^.*?<\|end\|>/s, "")
    expect(after.startsWith(before.replace(/<\|start\|>assistant$/, ""))).toBe(true)
    expect(after.split(DEFINITION)).toHaveLength(2)
    expect(options[0].tools!.map(({ name, deferred }) => [name, deferred])).toEqual([
      ["find", false],
      ["late", true],
    ])
  })

  it("may come with the message, and go", async () => {
    const { name, description, input_schema } = late
    const definition = { type: "tool_definition", definition: { name, description, input_schema } }
    const system = (...content: object[]) => ({ role: "system", content })
    const adding = system({ type: "tool_addition", tool: definition })
    const leaving = system({ type: "tool_removal", tool: { type: "tool_reference", name } })
    const theirs = system({ type: "tool_addition", tool: { type: "mcp_toolset_reference", server_name: "s" } })
    const { app, prompts, options } = scripted(HI)
    const messages = [...ask.messages, adding, theirs, leaving, ...ask.messages]
    expect((await create(app, { messages })).status).toBe(200)
    expect(prompts[0]).toMatch(/type late = .*The tool late is no longer there\.<\|end\|><\|start\|>user/s)
    expect(prompts[0].split("<|start|>developer")).toHaveLength(3)
    expect(options[0].tools).toMatchObject([{ name: "late", deferred: true }])
  })

  it("are not there before, unless Anthropic's search was to find them", async () => {
    expect(await promptOf({ tools: [find, late] })).not.toContain("late")
    expect(await promptOf({ tools: [find, late, { type: "tool_search_tool_bm25_20251119", name: "s" }] })).toContain(
      "type late =",
    )
  })
})

describe("what the model says", () => {
  const thought = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"
  const call = `${thought}<|channel|>commentary to=functions.read <|constrain|>json<|message|>{ "path": "ä.txt" }<|call|>`

  it("comes as a stream in Anthropic's order", async () => {
    const { app } = scripted(thought + HI)
    const all = await events(app, { thinking: { type: "adaptive" } })
    const kinds = all.map(({ type, index, delta, content_block }) =>
      [type, index ?? "", delta?.type ?? content_block?.type ?? ""].join(" ").trim(),
    )
    expect(kinds.filter((kind, i) => kind !== kinds[i - 1])).toEqual([
      "message_start",
      "content_block_start 0 thinking",
      "content_block_delta 0 thinking_delta",
      "content_block_delta 0 signature_delta",
      "content_block_stop 0",
      "content_block_start 1 text",
      "content_block_delta 1 text_delta",
      "content_block_stop 1",
      "message_delta",
      "message_stop",
    ])
    expect(all[0].message).toMatchObject({ role: "assistant", model: "gpt-oss-20b", content: [], stop_reason: null })
    expect(all.at(-2)).toMatchObject({
      delta: { stop_reason: "end_turn" },
      usage: { output_tokens: expect.any(Number) },
    })
  })

  it("is a call with its arguments as an object", async () => {
    const { app } = scripted(call)
    const { body } = await create(app, { tools: [read] })
    expect(body).toMatchObject({
      stop_reason: "tool_use",
      content: [
        { type: "tool_use", id: expect.stringMatching(/^toolu_[0-9a-f]{24}$/), name: "read", input: { path: "ä.txt" } },
      ],
    })
    const deltas = (await events(app, { tools: [read] })).filter(({ delta }) => delta?.type === "input_json_delta")
    expect(deltas.map(({ delta }) => delta.partial_json).join("")).toBe('{ "path": "ä.txt" }')
    expect(deltas.length).toBeGreaterThan(5)
  })

  it("keeps text that is no JSON, and takes it back as it was", async () => {
    const { app, prompts } = scripted("<|channel|>commentary to=functions.read<|message|>path: a<|call|>", HI)
    const { body } = await create(app, { tools: [read] })
    expect(body.content[0].input).toEqual({ INVALID_JSON: "path: a" })
    await create(app, {
      tools: [read],
      messages: [...ask.messages, { role: "assistant", content: body.content }, ...ask.messages],
    })
    expect(prompts[1]).toContain("<|message|>path: a<|call|>")
  })

  it.each([
    ["shown", { type: "adaptive" }],
    ["sealed", { type: "adaptive", display: "omitted" }],
    ["hidden", { type: "disabled" }],
    ["not asked for", undefined],
  ])("is known again when it comes back: spelling and thinking, which was %s", async (_, thinking) => {
    const { app, prompts } = scripted(call, HI)
    const { body } = await create(app, { tools: [read], thinking })
    const [{ id }] = body.content.slice(-1)
    const answered = [
      { role: "assistant", content: body.content },
      { role: "user", content: [{ ...result("words"), tool_use_id: id }] },
    ]
    await create(app, { tools: [read], thinking, messages: [...ask.messages, ...answered] })
    expect(prompts[1].startsWith(`${prompts[0]}<|channel|>analysis<|message|>Hm.<|end|>`)).toBe(true)
    expect(prompts[1]).toContain('<|message|>{ "path": "ä.txt" }<|call|>')
    const changed = structuredClone(answered)
    changed[0].content.at(-1).input.path = "other"
    await create(app, { tools: [read], thinking, messages: [...ask.messages, ...changed] })
    expect(prompts[2]).toContain('<|message|>{"path":"other"}<|call|>')
  })

  /** Messages of a turn before its last: thoughts and words, which tokens of several bytes may end. */
  const words = fc.string({
    unit: fc.constantFrom("a", "ß", "漢", "😀", " ", "\n", '"', "{"),
    minLength: 1,
    maxLength: 8,
  })
  const parts = fc.array(fc.tuple(fc.constantFrom("analysis", "commentary"), words), { maxLength: 4 })
  const spelled = fc
    .tuple(fc.dictionary(words, fc.oneof(words, fc.integer(), fc.boolean())), fc.constantFrom(0, 1, 4))
    .map(([input, indent]) => JSON.stringify(input, null, indent))
  const turnOf = (before: [string, string][], last: string) =>
    [...before.map(([channel, text]) => `<|channel|>${channel}<|message|>${text}<|end|>`), last].join(
      "<|start|>assistant",
    )

  it("loses nothing, whatever it consists of, and is the same when it comes back", async () => {
    const shapes = fc.constantFrom({ type: "adaptive" }, { type: "adaptive", display: "omitted" }, { type: "disabled" })
    await fc.assert(
      fc.asyncProperty(parts, spelled, shapes, fc.boolean(), async (before, args, thinking, stream) => {
        const written = turnOf(before, `<|channel|>commentary to=functions.read<|message|>${args}<|call|>`)
        const { app, prompts } = scripted(written, HI)
        const body = { tools: [read], thinking }
        const content = stream ? contentOf(await events(app, body)) : (await create(app, body)).body.content
        const told = (type: string, key: string) =>
          content.flatMap((block: Record<string, string>) => (block.type === type ? [block[key]] : [])).join("")
        const said = (channel: string) => before.flatMap(([name, text]) => (name === channel ? [text] : [])).join("")
        expect(told("text", "text")).toBe(said("commentary"))
        expect(told("thinking", "thinking")).toBe(
          "display" in thinking || thinking.type === "disabled" ? "" : said("analysis"),
        )
        expect(content.at(-1).input).toEqual(JSON.parse(args))
        const answer = { ...result("done"), tool_use_id: content.at(-1).id }
        const messages = [...ask.messages, { role: "assistant", content }, { role: "user", content: [answer] }]
        await create(app, { ...body, messages })
        expect(prompts[1].startsWith(`${prompts[0]}${written}`)).toBe(true)
      }),
      { numRuns: 20 },
    )
  })

  it("is one call if one is asked for", async () => {
    const second = `${call.replace("<|call|>", "<|end|>")}<|start|>assistant${call.slice(thought.length)}`
    const { app } = scripted(second)
    expect((await create(app, { tools: [read] })).body.content).toHaveLength(2)
    const tool_choice = { type: "auto", disable_parallel_tool_use: true }
    expect((await create(app, { tools: [read], tool_choice })).body.content).toHaveLength(1)
  })

  it("ends for reasons that have names", async () => {
    const { app } = scripted("<|channel|>final<|message|>one STOP two<|return|>")
    const ending = async (body: object) => {
      const { content, stop_reason, stop_sequence } = (await create(app, body)).body
      return [content[0]?.text, stop_reason, stop_sequence]
    }
    expect(await ending({})).toEqual(["one STOP two", "end_turn", null])
    expect(await ending({ stop_sequences: ["two", "STOP"] })).toEqual(["one ", "stop_sequence", "STOP"])
    expect(await ending({ max_tokens: 10 })).toEqual(["one", "max_tokens", null])
    expect(await ending({ max_tokens: 0 })).toEqual([undefined, "max_tokens", null])
  })

  it("is waited for with pings", async () => {
    vi.useFakeTimers()
    try {
      const model = scriptedModel(() => HI)
      model.chat = async function* () {
        await new Promise((resolve) => setTimeout(resolve, 15_000))
        yield { type: "start", prompt_tokens: 3, cached_tokens: 0 }
      }
      const all = events(faceOf(anthropicRoutes, anthropicError, model), { model: "scripted" })
      await vi.advanceTimersByTimeAsync(20_000)
      expect((await all).map(({ type }) => type)).toEqual(["ping", "message_start", "message_stop"])
    } finally {
      vi.useRealTimers()
    }
  })

  it("ends where the context does", async () => {
    const { app } = scripted(`<|channel|>final<|message|>${"a".repeat(9000)}<|return|>`)
    const messages = [{ role: "user", content: "x".repeat(7500) }]
    expect((await create(app, { max_tokens: 100_000, messages })).body.stop_reason).toBe(
      "model_context_window_exceeded",
    )
  })
})

describe("models", () => {
  it("are the default one where the name is Anthropic's", async () => {
    const { app } = scripted(HI)
    for (const model of ["claude-opus-4-8", "claude-haiku-4-5-20251001", "anthropic/claude-sonnet-5"]) {
      expect((await create(app, { model })).body.model).toBe("gpt-oss-20b")
    }
    expect(await create(app, { model: "gpt-5" })).toMatchObject({
      status: 404,
      body: { error: { type: "not_found_error" } },
    })
  })

  it("are listed for who says that it is Anthropic's client, and for nobody else", async () => {
    const app = faceOf(anthropicRoutes, anthropicError, ...["org/a", "b"].map((name) => scriptedModel(() => HI, name)))
    const headers = { "anthropic-version": "2023-06-01" }
    const list = await (await app.request("/v1/models?limit=1000", { headers })).json()
    const data = [{ type: "model", id: "org/a", max_input_tokens: 4096 }, { id: "b" }]
    expect(list).toMatchObject({ has_more: false, first_id: "org/a", last_id: "b", data })
    expect(await (await app.request("/v1/models/org/a", { headers })).json()).toEqual(list.data[0])
    expect((await app.request("/v1/models/c", { headers })).status).toBe(404)
    for (const path of ["/v1/models", "/v1/models/b"]) {
      expect(await (await app.request(path)).text()).toBe("404 Not Found")
    }
  })
})

describe("what cannot be answered", () => {
  it.each([
    [{ messages: [] }, "messages"],
    [{ messages: undefined }, "messages"],
    [{ max_tokens: undefined }, "max_tokens"],
    [{ max_tokens: -1 }, "max_tokens"],
    [{ messages: [{ role: "user" }] }, "messages.0.content"],
    [{ messages: [{ role: "robot", content: "" }] }, "messages.0.role"],
    [
      { messages: [{ role: "user", content: [{ type: "image", source: { type: "url", url: "x" } }] }] },
      "messages.0.content.0.type",
    ],
    [{ messages: loop([{ type: "image", source: {} }]) }, "messages.2.content.0.content.0.type"],
    [{ messages: [{ role: "user", content: [result("x")] }] }, "messages.0.content.0.tool_use_id"],
    [{ messages: [...ask.messages, { role: "assistant", content: "Once upon" }] }, "messages"],
    [{ tools: [read, read] }, "tools.1.name"],
    [{ tools: [{ name: "x" }] }, "tools.0.input_schema"],
    [{ tool_choice: { type: "tool", name: "x" } }, "tool_choice.name"],
    [{ tool_choice: { type: "any" } }, "tool_choice"],
    [{ temperature: 3 }, "temperature"],
    [{ stop_sequences: [""] }, "stop_sequences.0"],
    [{ output_config: { effort: "huge" } }, "output_config.effort"],
    [{ output_format: { type: "xml" } }, "output_format.type"],
    [{ thread: { type: "create" } }, "thread"],
  ])("%j names %s", async (body, param) => {
    const { app } = scripted(HI)
    for (const stream of [false, true]) {
      const { status, body: answer } = await create(app, { ...body, stream })
      expect(status).toBe(400)
      expect(answer).toMatchObject({ type: "error", error: { type: "invalid_request_error" } })
      expect(answer.error.message).toMatch(new RegExp(`^${param}: `))
    }
  })

  it.each([
    ["overloaded", 429, "rate_limit_error"],
    ["unavailable", 529, "overloaded_error"],
    ["internal", 500, "api_error"],
  ] as const)("%s has Anthropic's status %d and type", (kind, status, type) => {
    expect(anthropicError(new RequestError(kind, "why"))).toEqual({
      status,
      body: { type: "error", error: { type, message: "why" } },
    })
  })

  it("ends a stream that has begun with an error", async () => {
    const model = scriptedModel(() => HI)
    model.chat = async function* () {
      yield { type: "start", prompt_tokens: 3, cached_tokens: 0 }
      yield { type: "content", text: "Well" }
      throw new RequestError("unavailable", "the server stops")
    }
    const all = await events(faceOf(anthropicRoutes, anthropicError, model), { model: "scripted" })
    expect(all.at(-1)).toEqual({ type: "error", error: { type: "overloaded_error", message: "the server stops" } })
  })

  it("is never a fault of the server, whatever is sent", async () => {
    const { app } = scripted(HI)
    const block = fc.oneof(
      fc
        .constantFrom("text", "thinking", "tool_use", "tool_result", "image", "document", "tool_addition", "__proto__")
        .chain((type) =>
          fc.record(
            {
              type: fc.constant(type),
              text: fc.string(),
              thinking: fc.string(),
              signature: fc.base64String(),
              id: fc.constantFrom("a", "b"),
              name: fc.constantFrom("read", "constructor", "a b"),
              input: fc.oneof(fc.object(), fc.constant(JSON.parse('{"__proto__":1}'))),
              tool_use_id: fc.constantFrom("a", "b"),
              content: fc.oneof(fc.string(), fc.jsonValue()),
              tool: fc.jsonValue(),
              source: fc.jsonValue(),
            },
            { requiredKeys: ["type"] },
          ),
        ),
      fc.jsonValue(),
    )
    const message = fc.record({
      role: fc.constantFrom("user", "assistant", "system", "tool"),
      content: fc.oneof(fc.string({ unit: "binary" }), fc.array(block, { maxLength: 4 }), fc.jsonValue()),
    })
    const body = fc.record(
      {
        messages: fc.oneof(fc.array(message, { maxLength: 4 }), fc.jsonValue()),
        system: fc.oneof(fc.string(), fc.array(block, { maxLength: 2 }), fc.jsonValue()),
        max_tokens: fc.oneof(fc.constant(5), fc.double(), fc.jsonValue()),
        tools: fc.oneof(
          fc.array(
            fc.oneof(
              fc.constant(read),
              fc.record({ name: fc.string(), input_schema: fc.jsonValue(), type: fc.jsonValue() }),
              fc.jsonValue(),
            ),
            { maxLength: 3 },
          ),
          fc.jsonValue(),
        ),
        tool_choice: fc.oneof(
          fc.record({ type: fc.constantFrom("auto", "any", "tool"), name: fc.constantFrom("read", "x") }),
          fc.jsonValue(),
        ),
        thinking: fc.jsonValue(),
        stop_sequences: fc.jsonValue(),
        temperature: fc.double(),
        top_k: fc.double(),
        stream: fc.constantFrom(true, false, null, 1),
        output_config: fc.jsonValue(),
      },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(body, fc.constantFrom("/v1/messages", "/v1/messages/count_tokens"), async (body, path) => {
        const response = await post(app, path, { ...ask, ...body })
        expect([200, 400]).toContain(response.status)
        expect(await response.text()).not.toContain("api_error")
      }),
      { numRuns: 250 },
    )
  })

  it.each([
    ["deep", `{"model":"m","max_tokens":1,"messages":${"[".repeat(10_000)}${"]".repeat(10_000)}}`],
    [
      "a deep input",
      JSON.stringify({
        ...ask,
        messages: [
          { role: "user", content: "x" },
          { role: "assistant", content: [{ ...use, input: { a: "DEEP" } }] },
          { role: "user", content: "y" },
        ],
      }).replace('"DEEP"', "[".repeat(10_000) + "]".repeat(10_000)),
    ],
    [
      "a deep schema",
      JSON.stringify({ ...ask, tools: [{ ...read, input_schema: { a: "DEEP" } }] }).replace(
        '"DEEP"',
        `${'{"items":'.repeat(10_000)}{}${"}".repeat(10_000)}`,
      ),
    ],
    ["no JSON", "{"],
    ["a list", "[]"],
  ])("is not %s", async (_, body) => {
    const { app } = scripted(HI)
    expect((await post(app, "/v1/messages", body)).status).toBeLessThan(500)
  })
})
