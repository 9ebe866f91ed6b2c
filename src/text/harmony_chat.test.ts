import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { byteTokenizer, encodeHarmony } from "../../test/text/byte_tokenizer.js"
import { harmonyFormat } from "./harmony_chat.js"
import { call, content, turnOf } from "../../test/text/harmony_turn.js"
import type { AssistantMessage, ChatDelta, ConversationOptions, Message, ReasoningEffort } from "./messages.js"

const tokenizer = byteTokenizer()
const format = harmonyFormat(tokenizer, { model_identity: "M", current_date: "2026-11-23" })
const QUESTION: Message = { role: "user", content: "hi" }

const text = (ids: ArrayLike<number>) => tokenizer.decode(Array.from(ids))

/** Plain text with special tokens between: what a model writes. */
function written(...pieces: (string | { text: string })[]): number[] {
  return pieces.flatMap((piece) =>
    typeof piece === "string" ? encodeHarmony(tokenizer, piece) : tokenizer.encode(piece.text),
  )
}

function messageOf(deltas: readonly ChatDelta[]): AssistantMessage {
  const said = (type: "content" | "reasoning") =>
    deltas.map((delta) => (delta.type === type ? delta.text : "")).join("")
  const tool_calls = deltas.flatMap((delta) =>
    delta.type === "tool_call" ? [{ name: delta.name, arguments: delta.arguments }] : [],
  )
  return {
    role: "assistant",
    content: said("content"),
    reasoning: said("reasoning"),
    ...(tool_calls.length > 0 && { tool_calls }),
  }
}

/** The conversation after a turn begins with its prompt and what the model wrote: the caches hold. */
function expectContinued(
  before: readonly Message[],
  options: ConversationOptions,
  generated: readonly number[],
): Message[] {
  const prompt = format.render(before, options)
  const message = messageOf(turnOf(generated, tokenizer, options))
  const after = [...before, message]
  const continued = Array.from(format.render(after, options))
  const whole = [...Array.from(prompt), ...generated]
  expect(text(continued.slice(0, whole.length))).toBe(text(whole))
  expect(continued.slice(0, whole.length)).toEqual(whole)
  return after
}

describe("what was offered, called and replayed is the same", () => {
  const character = fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom("a", "b", ".", "-", "_", "/", ":", "7") },
    { weight: 1, arbitrary: fc.string({ unit: "grapheme", minLength: 1, maxLength: 1 }) },
    { weight: 1, arbitrary: fc.constantFrom("{", '"', "<|message|>", "json", "functions.", "to=", "=", "?") },
  )
  const name = fc
    .oneof(
      fc.constantFrom(
        "python",
        "browser.search",
        "functions.f",
        "functions",
        "user",
        "assistant",
        "final",
        ".f",
        "fjson",
        "f.",
      ),
      fc.array(character, { minLength: 1, maxLength: 20 }).map((parts) => parts.join("")),
    )
    .filter((name) => /^[^\s\p{Cc}\p{Cs}]{1,128}$/u.test(name))
  const names = fc.uniqueArray(name, { minLength: 1, maxLength: 4 })
  const words = fc.string({ unit: "grapheme", maxLength: 12 })

  it("for any name, with reasoning and a preamble, through a loop of calls and its answer", () => {
    fc.assert(
      fc.property(names, fc.nat(), words, words, (names, chosen, thought, preamble) => {
        const called = names[chosen % names.length]
        const options = { tools: names.map((name) => ({ name })) }
        const call = [
          ...(thought ? ["<|channel|>analysis<|message|>", { text: thought }, "<|end|><|start|>assistant"] : []),
          ...(preamble ? ["<|channel|>commentary<|message|>", { text: preamble }, "<|end|><|start|>assistant"] : []),
          { text: ` to=functions.${called}` },
          "<|channel|>commentary <|constrain|>json<|message|>",
          { text: '{"q": 1}' },
          "<|call|>",
        ]
        let messages = expectContinued([QUESTION], options, written(...call))
        expect(messages.at(-1)).toMatchObject({ tool_calls: [{ name: called, arguments: '{"q": 1}' }] })
        messages = [...messages, { role: "tool", name: called, content: "42" }]
        messages = expectContinued(messages, options, written(...call))
        messages = [...messages, { role: "tool", name: called, content: "43" }]
        expect(text(format.render(messages, options))).toContain(`<|start|>functions.${called} to=assistant`)
      }),
      { numRuns: 150 },
    )
  })

  it("undeclared builtin tools keep their own names", () => {
    for (const name of ["python", "browser.search", "browser.open"]) {
      const generated = written(` to=${name}<|channel|>commentary <|constrain|>json<|message|>{}<|call|>`)
      expectContinued([QUESTION], {}, generated)
      expectContinued([QUESTION], { tools: [{ name: "f" }] }, generated)
      const declared = turnOf(generated, tokenizer, { tools: [{ name }] })
      expect(declared).toEqual([call(name, "{}")])
    }
  })

  it("what was never offered is a function", () => {
    for (const name of ["f", "calendar.create", "container.exec"]) {
      expectContinued(
        [QUESTION],
        {},
        written(` to=functions.${name}<|channel|>commentary <|constrain|>json<|message|>{}<|call|>`),
      )
    }
  })
})

describe("reasoning_effort", () => {
  it.each<[ReasoningEffort, string]>([
    ["none", "low"],
    ["minimal", "low"],
    ["low", "low"],
    ["medium", "medium"],
    ["high", "high"],
    ["xhigh", "high"],
  ])("%s is %s in the prompt", (reasoning_effort, effort) => {
    expect(text(format.render([QUESTION], { reasoning_effort }))).toContain(`\n\nReasoning: ${effort}\n\n`)
  })

  it("none opens the answer, and the turn goes on in it", () => {
    const options = { reasoning_effort: "none" } as const
    const opened = "<|start|>assistant<|channel|>final<|message|>"
    expect(text(format.render([QUESTION], options)).endsWith(opened)).toBe(true)
    expect(turnOf(written("analysis of 42<|return|>"), tokenizer, options)).toEqual([content("analysis of 42")])
    const prompt = text(format.render([QUESTION], options))
    const next = text(format.render([QUESTION, { role: "assistant", content: "42" }, QUESTION], options))
    expect(next.startsWith(`${prompt}42<|end|>`)).toBe(true)
  })

  it("none leaves the model free to call the tools on offer", () => {
    const options = { reasoning_effort: "none", tools: [{ name: "f" }] } as const
    expect(text(format.render([QUESTION], options)).endsWith("<|start|>assistant")).toBe(true)
    expect(turnOf(written(" to=functions.f<|channel|>commentary<|message|>{}<|call|>"), tokenizer, options)).toEqual([
      call("f", "{}"),
    ])
  })
})

it("a user's name stands beside the role, as openai/harmony writes it", () => {
  expect(text(format.render([{ ...QUESTION, name: "ann" }], {}))).toContain("<|start|>user:ann<|message|>hi<|end|>")
})
