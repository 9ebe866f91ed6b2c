import { describe, expect, it } from "vitest"
import { byteTokenizer, encodeHarmony } from "../../test/text/byte_tokenizer.js"
import { GrammarError } from "../text/grammar.js"
import { harmonyFormat } from "../text/harmony_chat.js"
import type { ChatDelta, ChatFormat } from "../text/messages.js"
import type { ChatMessage } from "./chat_messages.js"
import { type ChatEvent, type ChatOptions, chat } from "./chat.js"
import { ScriptedRunner } from "../../test/engine/fake_runner.js"

const END = 60
const CALL = 61

/** 0 to 25 are letters of the reasoning, 26 to 51 letters of the content, 55 a whole tool call. */
const format: ChatFormat = {
  render: (messages) => messages.map((_, i) => i + 1),
  ends: new Set([END, CALL]),
  parser: () => ({
    *push(token: number): Generator<ChatDelta> {
      if (token < 26) yield { type: "reasoning", text: String.fromCharCode(97 + token) }
      else if (token < 52) yield { type: "content", text: String.fromCharCode(71 + token) }
      else if (token === 55) {
        yield { type: "tool_call_start", name: "get_weather" }
        yield { type: "tool_arguments", text: "{" }
        yield { type: "tool_arguments", text: "}" }
        yield { type: "tool_call", name: "get_weather", arguments: "{}" }
      }
    },
    *end() {},
  }),
}

const stopTokens = new Set([END, CALL])

async function say(script: number[], options: ChatOptions = {}) {
  const events: ChatEvent[] = []
  const messages: ChatMessage[] = [{ role: "user", content: "hi" }]
  const runner = new ScriptedRunner(script)
  for await (const event of chat(runner, messages, format, stopTokens, { temperature: 0, ...options }))
    events.push(event)
  const summary = events.pop()
  if (summary?.type !== "summary") throw new Error("no summary")
  const pieces = events.flatMap((event) => (event.type === "token" || event.type === "start" ? [] : [event]))
  return { events, pieces, summary }
}

const content = (text: string) => [...text].map((letter) => letter.charCodeAt(0) - 71)

describe("chat", () => {
  it("passes reasoning and content on as they come and sums them up", async () => {
    const { events, pieces, summary } = await say([0, 1, ...content("hey"), END])
    expect(pieces.map((piece) => ("text" in piece ? [piece.type, piece.text] : []))).toEqual([
      ["reasoning", "a"],
      ["reasoning", "b"],
      ["content", "h"],
      ["content", "e"],
      ["content", "y"],
    ])
    expect(events.filter(({ type }) => type === "token")).toHaveLength(6)
    expect(summary).toMatchObject({ finish_reason: "stop", completion_tokens: 6, prompt_tokens: 1 })
    expect(summary.message).toEqual({ role: "assistant", content: "hey", reasoning: "ab" })
  })

  it("ends before a stop string in the content, not in the reasoning", async () => {
    const { pieces, summary } = await say([0, 1, 2, ...content("xabcd"), END], { stop: "abc" })
    const text = pieces.map((piece) => (piece.type === "content" ? piece.text : "")).join("")
    expect(text).toBe("x")
    expect(summary.message).toMatchObject({ content: "x", reasoning: "abc" })
    expect(summary).toMatchObject({ finish_reason: "stop", completion_tokens: 7, stop_string: "abc" })
  })

  it("releases held content at the end, and before a piece of another kind", async () => {
    expect((await say([...content("ab"), END], { stop: "abc" })).summary.message.content).toBe("ab")
    const { pieces, summary } = await say([...content("ab"), 0, ...content("cd"), END], { stop: "abc" })
    expect(pieces.map(({ type }) => type)).toEqual(["content", "reasoning", "content", "content"])
    expect(summary.message.content).toBe("abcd")
  })

  it.each([
    ["call", CALL],
    ["any other stop token", END],
  ])("reports tool calls ended by %s", async (_, end) => {
    const { summary } = await say([0, 55, end])
    expect(summary.finish_reason).toBe("tool_calls")
    expect(summary.message.tool_calls).toEqual([
      { id: expect.stringMatching(/^call_[0-9a-f]{24}$/), name: "get_weather", arguments: "{}" },
    ])
  })

  it("says length when cut off", async () => {
    const { summary } = await say(content("abcdefgh"), { max_tokens: 3 })
    expect(summary).toMatchObject({ finish_reason: "length", message: { content: "abc" } })
  })
})

describe("what holds a turn", () => {
  const messages: ChatMessage[] = [{ role: "user", content: "hi" }]

  /** Counts what is opened and closed; refuses a response format. */
  function held() {
    const counts = { opened: 0, closed: 0, vocab_size: 0 }
    const constraint: ChatFormat["constraint"] = async ({ response_format }, vocab_size) => {
      if (response_format) throw new GrammarError("items", "no such type", "response_format")
      Object.assign(counts, { opened: counts.opened + 1, vocab_size })
      return { allowed: () => new Uint32Array(16).fill(0xffffffff), accept: () => {}, close: () => counts.closed++ }
    }
    const runner = new ScriptedRunner([0, 1, ...content("hey"), END])
    const talk = (options: ChatOptions = {}) => chat(runner, messages, { ...format, constraint }, stopTokens, options)
    return { counts, runner, talk }
  }

  it("is made for the model's vocabulary, and closed at the end of the turn, or where it is left", async () => {
    for (const most of [1, 3, 100]) {
      const { counts, talk } = held()
      let events = 0
      for await (const _ of talk()) if (++events === most) break
      expect(counts).toEqual({ opened: 1, closed: 1, vocab_size: 512 })
    }
  })

  it("is closed when a turn fails, before it begins or later", async () => {
    const controller = new AbortController()
    const { counts, talk } = held()
    const failing = async (options: ChatOptions) => {
      for await (const event of talk(options)) if (event.type === "content") controller.abort(new Error("enough"))
    }
    await expect(failing({ temperature: -1 })).rejects.toThrow("temperature")
    expect(counts).toMatchObject({ opened: 1, closed: 1 })
    await expect(failing({ signal: controller.signal })).rejects.toThrow("enough")
    expect(counts).toMatchObject({ opened: 2, closed: 2 })
  })

  it("is refused before anything is submitted", async () => {
    const { runner, talk } = held()
    await expect(talk({ response_format: { type: "json_object" } }).next()).rejects.toThrow(GrammarError)
    expect(runner.submitted).toEqual([])
  })
})

describe("chat in harmony", () => {
  const tokenizer = byteTokenizer()
  const harmony = harmonyFormat(tokenizer)
  const ends = new Set(["<|return|>", "<|call|>"].map((name) => tokenizer.specialToken(name)))

  /** What chat says when the model writes `text`, and the prompt it was given. */
  async function answer(text: string, messages: readonly ChatMessage[], options: ChatOptions = {}) {
    const runner = new ScriptedRunner(encodeHarmony(tokenizer, text))
    const events: ChatEvent[] = []
    for await (const event of chat(runner, messages, harmony, ends, { temperature: 0, ...options })) events.push(event)
    const summary = events.at(-1)
    if (summary?.type !== "summary") throw new Error("no summary")
    return { summary, events, prompt: tokenizer.decode(Uint32Array.from(runner.submitted[0].request.prompt)) }
  }

  const USER: ChatMessage = { role: "user", content: [{ type: "text", text: "Weather?" }] }
  const tools = [{ type: "function", function: { name: "calendar.create", parameters: { type: "object" } } }] as const
  const CALL = ' to=functions.calendar.create<|channel|>commentary <|constrain|>json<|message|>{"a":1}<|call|>'

  it("offers OpenAI's tools, and takes a call and its result back", async () => {
    const first = await answer(CALL, [USER], { tools })
    expect(first.prompt).toContain("type calendar.create = (_: {\n}) => any;")
    expect(first.summary.finish_reason).toBe("tool_calls")
    const { message } = first.summary
    const [call] = message.tool_calls ?? []
    expect(call).toMatchObject({ name: "calendar.create", arguments: '{"a":1}' })
    expect(first.events).toContainEqual({ type: "tool_call", ...call })
    const result: ChatMessage = { role: "tool", tool_call_id: call.id, content: { sunny: true } }
    const second = await answer("<|channel|>final<|message|>Sunny.<|return|>", [USER, message, result], { tools })
    expect(second.prompt.startsWith(first.prompt + CALL)).toBe(true)
    expect(second.prompt).toContain(
      '<|start|>functions.calendar.create to=assistant<|channel|>commentary<|message|>{"sunny":true}',
    )
    expect(second.summary.message).toEqual({ role: "assistant", content: "Sunny." })
  })

  it("says tool_calls only with a call", async () => {
    expect((await answer("<|call|>", [USER])).summary).toMatchObject({
      finish_reason: "stop",
      message: { content: "" },
    })
    expect((await answer("<|channel|>final<|message|>x<|call|>", [USER])).summary.finish_reason).toBe("stop")
    expect((await answer(" to=functions.f<|call|>", [USER])).summary.finish_reason).toBe("tool_calls")
    const cut = await answer(CALL, [USER], { max_tokens: 20 })
    expect(cut.summary).toMatchObject({ finish_reason: "length", message: { content: "" } })
    expect(cut.summary.message.tool_calls).toBeUndefined()
  })

  it("refuses a request before anything runs", async () => {
    const image: ChatMessage = { role: "user", content: [{ type: "image_url" }] }
    await expect(answer("x", [USER, image])).rejects.toMatchObject({ field: "messages.1.content.0.type" })
    const options = { reasoning_effort: "High" } as unknown as ChatOptions
    await expect(answer("x", [USER], options)).rejects.toMatchObject({ field: "reasoning_effort" })
  })
})
