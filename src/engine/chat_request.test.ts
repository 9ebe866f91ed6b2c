import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { ChatMessage } from "./chat_messages.js"
import { type ConversationParams, parseConversation, type ToolParam } from "./chat_request.js"
import { ParameterError } from "./errors.js"

const USER = { role: "user", content: "hi" } as const
const CALL = { id: "c1", type: "function", function: { name: "f", arguments: '{"a":1}' } } as const
const CALLED = { role: "assistant", content: null, tool_calls: [CALL] } as const

/** As they are given to the chat format. */
const CALLS = [
  { name: "f", arguments: '{"a":1}' },
  { name: "g", arguments: "{}" },
]

const messagesOf = (messages: unknown) => parseConversation(messages as ChatMessage[], {}).messages
const optionsOf = (params: unknown) => parseConversation([USER], params as ConversationParams).options

/** The refusal, or what was made of it. */
function refusal(messages: unknown, params: unknown = {}): ParameterError | unknown {
  try {
    return parseConversation(messages as ChatMessage[], params as ConversationParams)
  } catch (error) {
    if (error instanceof ParameterError) return error
    throw error
  }
}

describe("messages", () => {
  it.each<[string, unknown[], unknown[]]>([
    ["our own", [{ role: "system", content: "s" }, USER], [{ role: "system", content: "s" }, USER]],
    [
      "parts",
      [
        {
          role: "user",
          content: [
            { type: "text", text: "a" },
            { type: "text", text: "b" },
          ],
        },
      ],
      [{ role: "user", content: "ab" }],
    ],
    [
      "developer parts",
      [{ role: "developer", content: [{ type: "text", text: "a" }] }],
      [{ role: "developer", content: "a" }],
    ],
    ["a user's name", [{ role: "user", content: "x", name: "ann" }], [{ role: "user", content: "x", name: "ann" }]],
    [
      "a call and its result by id",
      [CALLED, { role: "tool", tool_call_id: "c1", content: [{ type: "text", text: "r" }] }],
      [
        { role: "assistant", content: "", tool_calls: [{ id: "c1", name: "f", arguments: '{"a":1}' }] },
        { role: "tool", name: "f", content: "r" },
      ],
    ],
    [
      "calls without content, results by name, arguments as an object",
      [
        { role: "assistant", tool_calls: [{ name: "f", arguments: { a: [1] } }] },
        { role: "tool", name: "f", content: { ok: true } },
      ],
      [
        { role: "assistant", content: "", tool_calls: [{ name: "f", arguments: '{"a":[1]}' }] },
        { role: "tool", name: "f", content: '{"ok":true}' },
      ],
    ],
    [
      "results that are data",
      [1, false, null, [], [1, "b"], [{ type: "city", n: 1 }]].map((content) => ({ role: "tool", name: "f", content })),
      ["1", "false", "null", "[]", '[1,"b"]', '[{"type":"city","n":1}]'].map((content) => ({
        role: "tool",
        name: "f",
        content,
      })),
    ],
    [
      "the latest of calls with one id",
      [
        CALLED,
        { role: "assistant", tool_calls: [{ id: "c1", name: "g", arguments: "{}" }] },
        { role: "tool", tool_call_id: "c1", content: "x" },
      ],
      [
        { role: "assistant", content: "", tool_calls: [{ id: "c1", name: "f", arguments: '{"a":1}' }] },
        { role: "assistant", content: "", tool_calls: [{ id: "c1", name: "g", arguments: "{}" }] },
        { role: "tool", name: "g", content: "x" },
      ],
    ],
    [
      "results that come in another order, and calls whose id is empty",
      [
        { role: "assistant", tool_calls: [CALL, { id: "c2", name: "g", arguments: "{}" }] },
        { role: "tool", tool_call_id: "c2", content: "2" },
        { role: "tool", tool_call_id: "c1", content: "1" },
        {
          role: "assistant",
          tool_calls: [
            { ...CALL, id: "" },
            { id: "", name: "g", arguments: "{}" },
          ],
        },
        { role: "tool", tool_call_id: "", name: "f", content: "x" },
      ],
      [
        { role: "assistant", content: "", tool_calls: CALLS.map((call, i) => ({ ...call, id: `c${i + 1}` })) },
        { role: "tool", name: "g", content: "2" },
        { role: "tool", name: "f", content: "1" },
        { role: "assistant", content: "", tool_calls: CALLS },
        { role: "tool", name: "f", content: "x" },
      ],
    ],
    [
      "OpenAI's answer",
      [
        {
          role: "assistant",
          content: "x",
          refusal: null,
          annotations: [],
          audio: null,
          function_call: null,
          tool_calls: null,
        },
      ],
      [{ role: "assistant", content: "x" }],
    ],
    [
      "an answer of the SDK's parse()",
      [
        {
          role: "assistant",
          content: "{}",
          parsed: { a: 1 },
          tool_calls: [{ ...CALL, index: 0, function: { ...CALL.function, parsed_arguments: {} } }],
        },
      ],
      [{ role: "assistant", content: "{}", tool_calls: [{ id: "c1", name: "f", arguments: '{"a":1}' }] }],
    ],
    ["a refusal", [{ role: "assistant", content: null, refusal: "No." }], [{ role: "assistant", content: "No." }]],
    [
      "a refusal as a part",
      [{ role: "assistant", content: [{ type: "refusal", refusal: "No." }] }],
      [{ role: "assistant", content: "No." }],
    ],
    [
      "reasoning under both names",
      [
        { role: "assistant", content: "x", reasoning: "r", reasoning_content: "r" },
        { role: "assistant", content: "x", reasoning_content: "s" },
      ],
      [
        { role: "assistant", content: "x", reasoning: "r" },
        { role: "assistant", content: "x", reasoning: "s" },
      ],
    ],
    [
      "the older function calls",
      [
        { role: "assistant", content: null, function_call: { name: "f", arguments: "{}" } },
        { role: "function", name: "f", content: "r" },
      ],
      [
        { role: "assistant", content: "", tool_calls: [{ name: "f", arguments: "{}" }] },
        { role: "tool", name: "f", content: "r" },
      ],
    ],
    ["no calls", [{ role: "assistant", content: "x", tool_calls: [] }], [{ role: "assistant", content: "x" }]],
    [
      "an assistant's name",
      [{ role: "assistant", content: "x", name: "a bot" }],
      [{ role: "assistant", content: "x" }],
    ],
  ])("%s", (_, given, expected) => {
    expect(messagesOf(given)).toEqual(expected)
  })

  it.each<[string, unknown]>([
    ["messages", "hi"],
    ["messages", []],
    ["messages", undefined],
    ["messages.0", ["hi"]],
    ["messages.0.role", [{ content: "x" }]],
    ["messages.0.role", [{ role: "User", content: "x" }]],
    ["messages.1.role", [USER, { role: "toString", content: "x" }]],
    ["messages.0.content", [{ role: "user" }]],
    ["messages.0.content", [{ role: "user", content: null }]],
    ["messages.0.content", [{ role: "user", content: 7 }]],
    ["messages.0.content", [{ role: "user", content: { type: "text", text: "x" } }]],
    ["messages.0.content.0", [{ role: "user", content: ["x"] }]],
    [
      "messages.0.content.1.type",
      [
        {
          role: "user",
          content: [
            { type: "text", text: "x" },
            { type: "image_url", image_url: {} },
          ],
        },
      ],
    ],
    ["messages.0.content.0.type", [{ role: "user", content: [{ type: "input_audio" }] }]],
    ["messages.0.content.0.type", [{ role: "user", content: [{ type: "refusal", refusal: "x" }] }]],
    ["messages.0.content.0.text", [{ role: "user", content: [{ type: "text" }] }]],
    ["messages.0.images", [{ role: "user", content: "x", images: ["..."] }]],
    ["messages.0.name", [{ role: "user", content: "x", name: "a b" }]],
    ["messages.0.content", [{ role: "assistant" }]],
    ["messages.0.content", [{ role: "assistant", content: null, tool_calls: [] }]],
    ["messages.0.audio", [{ role: "assistant", content: "x", audio: { id: "a" } }]],
    ["messages.0.prefix", [{ role: "assistant", content: "x", prefix: true }]],
    ["messages.0.reasoning", [{ role: "assistant", content: "x", reasoning: {} }]],
    ["messages.0.reasoning_content", [{ role: "assistant", content: "x", reasoning: "a", reasoning_content: "b" }]],
    ["messages.0.tool_calls", [{ role: "assistant", tool_calls: {} }]],
    ["messages.0.tool_calls.0.function", [{ role: "assistant", tool_calls: [{ id: "c" }] }]],
    ["messages.0.tool_calls.0.function.name", [{ role: "assistant", tool_calls: [{ function: { arguments: "" } }] }]],
    ["messages.0.tool_calls.0.function.arguments", [{ role: "assistant", tool_calls: [{ function: { name: "f" } }] }]],
    ["messages.0.tool_calls.0.arguments", [{ role: "assistant", tool_calls: [{ name: "f", arguments: 7 }] }]],
    ["messages.0.tool_calls.0.arguments", [{ role: "assistant", tool_calls: [{ name: "f", arguments: { n: 1n } }] }]],
    ["messages.0.tool_calls.0.type", [{ role: "assistant", tool_calls: [{ type: "mcp", name: "f", arguments: "" }] }]],
    ["messages.0.tool_calls.0.custom.name", [{ role: "assistant", tool_calls: [{ type: "custom", custom: {} }] }]],
    ["messages.0.tool_calls.0.name", [{ role: "assistant", tool_calls: [{ name: "", arguments: "" }] }]],
    ["messages.0.tool_call_id", [{ role: "tool", content: "x" }]],
    ["messages.0.tool_call_id", [{ role: "tool", content: "x", tool_call_id: "" }]],
    ["messages.0.tool_calls.1.id", [{ role: "assistant", tool_calls: [CALL, { id: "c1", name: "g", arguments: "" }] }]],
    ["messages.1.tool_call_id", [CALLED, { role: "tool", content: "x", tool_call_id: "c2" }]],
    ["messages.0.tool_call_id", [{ role: "tool", content: "x", tool_call_id: "c1" }, CALLED]],
    ["messages.1.name", [CALLED, { role: "tool", content: "x", tool_call_id: "c1", name: "g" }]],
    ["messages.0.content", [{ role: "tool", name: "f" }]],
    ["messages.0.content.0.type", [{ role: "tool", name: "f", content: [{ type: "image_url", image_url: {} }] }]],
    ["messages.0.name", [{ role: "tool", name: "a b", content: "" }]],
  ])("refuses %s", (field, messages) => {
    expect(refusal(messages)).toMatchObject({ name: "ParameterError", field })
  })
})

describe("tools", () => {
  it("and messages compile as callers of OpenAI's SDK write them", () => {
    const messages: ChatMessage[] = [
      USER,
      CALLED,
      { role: "tool", tool_call_id: "c1", content: [{ type: "text", text: "x" }] },
    ]
    const tools: ToolParam[] = [
      { type: "function", function: { name: "f", parameters: { type: "object" }, strict: true } },
    ]
    expect(parseConversation(messages, { tools }).options.tools).toHaveLength(1)
  })

  const parameters = { type: "object", properties: { a: { type: "string" } } }

  it("come in OpenAI's shape and in ours", () => {
    const tool = { name: "calendar.create", description: "d", parameters }
    const expected = { tools: [tool] }
    expect(optionsOf({ tools: [tool] })).toMatchObject(expected)
    expect(optionsOf({ tools: [{ type: "function", ...tool }] })).toMatchObject(expected)
    expect(optionsOf({ tools: [{ type: "function", function: { ...tool, strict: true } }] })).toMatchObject(expected)
    expect(optionsOf({ tools: [{ function: tool, type: "function" }] })).toMatchObject(expected)
    expect(optionsOf({ tools: [{ name: "f", description: null, parameters: null }] }).tools).toEqual([{ name: "f" }])
    expect(optionsOf({ tools: null }).tools).toBeUndefined()
  })

  const cyclic: Record<string, unknown> = {}
  cyclic.self = cyclic

  it.each<[string, unknown]>([
    ["tools", {}],
    ["tools.0", ["f"]],
    ["tools.0.name", [{}]],
    ["tools.0.type", [{ type: "web_search" }]],
    ["tools.0.custom.name", [{ type: "custom", custom: {} }]],
    ["tools.0.custom.format", [{ type: "custom", custom: { name: "f", format: { type: "grammar" } } }]],
    ["tools.0.type", [{ type: "mcp", name: "f" }]],
    ["tools.0.function", [{ type: "function" }]],
    ["tools.0.function.name", [{ type: "function", function: {} }]],
    ["tools.0.function.name", [{ type: "function", function: { name: "" } }]],
    ["tools.0.function.name", [{ type: "function", function: { name: "a b" } }]],
    ["tools.0.function.name", [{ type: "function", function: { name: "a\u0007" } }]],
    ["tools.0.function.name", [{ type: "function", function: { name: "a\ud800" } }]],
    ["tools.0.name", [{ name: "x".repeat(129) }]],
    ["tools.0.name", [{ name: 7 }]],
    ["tools.0.description", [{ name: "f", description: 7 }]],
    ["tools.0.parameters", [{ name: "f", parameters: "{}" }]],
    ["tools.0.parameters", [{ name: "f", parameters: [] }]],
    ["tools.0.parameters", [{ name: "f", parameters: cyclic }]],
    ["tools.0.parameters", [{ name: "f", parameters: { toJSON: () => "x" } }]],
    ["tools.0.input_schema", [{ name: "f", input_schema: {} }]],
    ["tools.1.name", [{ name: "f" }, { name: "f" }]],
    ["tools.1.function.name", [{ name: "f" }, { type: "function", function: { name: "f" } }]],
  ])("refuses %s", (field, tools) => {
    expect(refusal([USER], { tools })).toMatchObject({ name: "ParameterError", field })
  })

  it("says of a call's arguments what they may be", () => {
    const call = { role: "assistant", tool_calls: [{ name: "f", arguments: null }] }
    expect(refusal([call])).toMatchObject({ expected: "a string or an object", found: null })
  })

  it("takes names of up to 128 characters of any kind", () => {
    for (const name of ["x".repeat(128), "a-b/c:d", "\u5929\u6c17", "{}", '"q"', "functions.f", "python", "<|end|>"]) {
      expect(optionsOf({ tools: [{ name }] }).tools).toEqual([{ name }])
    }
  })
})

describe("options", () => {
  it.each(["none", "minimal", "low", "medium", "high", "xhigh"])("knows the effort %s", (reasoning_effort) => {
    expect(optionsOf({ reasoning_effort })).toMatchObject({ reasoning_effort })
  })

  it.each<[string, unknown]>([
    ["reasoning_effort", { reasoning_effort: "High" }],
    ["reasoning_effort", { reasoning_effort: "very" }],
    ["reasoning_effort", { reasoning_effort: 3 }],
    ["instructions", { instructions: ["x"] }],
  ])("refuses %s", (field, params) => {
    expect(refusal([USER], params)).toMatchObject({ name: "ParameterError", field })
  })

  it("takes null for nothing", () => {
    expect(optionsOf({ reasoning_effort: null, instructions: null, tools: null })).toEqual({})
  })
})

describe("whatever callers send", () => {
  it.each([[["text"]], [[Object.create(null)]], [{ toString: null }]])(
    "has parts by a type that is text: %#",
    (type) => {
      const tool = { role: "tool", name: "f", content: [{ type, text: "x" }] }
      expect(JSON.stringify(parseConversation([USER, tool] as never, {}).messages[1])).toContain('\\"type\\"')
    },
  )

  it("is understood or refused with a field, and never another error", () => {
    const value = fc.anything({ withBigInt: true, withNullPrototype: true, maxDepth: 3 })
    const key = fc.constantFrom(
      "role",
      "content",
      "tool_calls",
      "name",
      "arguments",
      "function",
      "type",
      "text",
      "tool_call_id",
    )
    const leaf = fc.oneof(value, fc.constantFrom("user", "assistant", "tool", "text", "function", "x", null))
    const { node } = fc.letrec((tie) => ({
      node: fc.oneof(
        { depthSize: "small" },
        leaf,
        fc.array(tie("node"), { maxLength: 3 }),
        fc.dictionary(key, tie("node"), { maxKeys: 5 }),
      ),
    }))
    fc.assert(
      fc.property(fc.array(node), fc.array(node), (messages, tools) => {
        const result = refusal(messages, { tools })
        if (result instanceof ParameterError) expect(result.field).toMatch(/^(messages|tools)\b/)
        else expect(JSON.stringify(result)).not.toContain("undefined")
      }),
      { numRuns: 1000 },
    )
  })
})
