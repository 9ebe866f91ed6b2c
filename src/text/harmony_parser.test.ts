import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { byteTokenizer, encodeHarmony } from "../../test/text/byte_tokenizer.js"
import { type HarmonyEvent, HarmonyParser } from "./harmony_parser.js"
import { harmonyTokens } from "./harmony_render.js"
import { call, content, reasoning, turnOf } from "../../test/text/harmony_turn.js"

const tokenizer = byteTokenizer()
const turn = (text: string) => turnOf(encodeHarmony(tokenizer, text), tokenizer)

function eventsOf(tokens: Iterable<number>): HarmonyEvent[] {
  const parser = new HarmonyParser(tokenizer, harmonyTokens(tokenizer))
  const events: HarmonyEvent[] = []
  for (const token of tokens) events.push(...parser.push(token))
  events.push(...parser.end())
  return events
}

describe("a turn", () => {
  it.each<[string, string, unknown[]]>([
    [
      "analysis, then final",
      "<|channel|>analysis<|message|>17+25=42<|end|><|start|>assistant<|channel|>final<|message|>42<|return|>",
      [reasoning("17+25=42"), content("42")],
    ],
    [
      "a tool call with its recipient in the channel part",
      '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"a":1}<|call|>',
      [call("get_weather", '{"a":1}')],
    ],
    [
      "a tool call with its recipient in the role part",
      ' to=functions.get_weather<|channel|>commentary <|constrain|>json<|message|>{"a":1}<|call|>',
      [call("get_weather", '{"a":1}')],
    ],
    [
      "<|constrain|> glued to the recipient",
      "<|channel|>commentary to=functions.f<|constrain|>json<|message|>{}<|call|>",
      [call("f", "{}")],
    ],
    [
      "<|constrain|> glued to the channel",
      " to=functions.f<|channel|>commentary<|constrain|>json<|message|>{}<|call|>",
      [call("f", "{}")],
    ],
    [
      "a tool call on the analysis channel",
      "<|channel|>analysis to=functions.f code<|message|>{}<|call|>",
      [call("f", "{}")],
    ],
    [
      "a builtin tool",
      "<|channel|>analysis to=browser.search code<|message|>{}<|call|>",
      [call("browser.search", "{}")],
    ],
    [
      "a preamble before a call",
      "<|channel|>commentary<|message|>Let me see.<|end|><|start|>assistant to=functions.f<|channel|>commentary<|message|>{}<|call|>",
      [content("Let me see."), call("f", "{}")],
    ],
    [
      "commentary to=assistant, which is no tool",
      "<|channel|>commentary to=assistant<|message|>Hi<|end|>",
      [content("Hi")],
    ],
    ["bare text without any markup", "17 + 25 = 42.<|return|>", [content("17 + 25 = 42.")]],
    ["one bare word", "Hello<|return|>", [content("Hello")]],
    ["bare text, cut off", "The answer is 4", [content("The answer is 4")]],
    ["a message without a channel", "<|message|>Hi<|return|>", [content("Hi")]],
    [
      "a channel without <|message|>",
      "<|channel|>final Hello there, this header never ends<|return|>",
      [content(" Hello there, this header never ends")],
    ],
    [
      "no <|end|> between messages",
      "<|channel|>analysis<|message|>a<|start|>assistant<|channel|>final<|message|>b<|return|>",
      [reasoning("a"), content("b")],
    ],
    [
      "no <|start|> between messages",
      "<|channel|>analysis<|message|>a<|end|>assistant<|channel|>final<|message|>b<|return|>",
      [reasoning("a"), content("b")],
    ],
    [
      "neither",
      "<|channel|>analysis<|message|>a<|channel|>final<|message|>b<|return|>",
      [reasoning("a"), content("b")],
    ],
    [
      "a stray <|message|> and <|constrain|>",
      "<|channel|>final<|message|>a<|message|>b<|constrain|>c<|return|>",
      [content("abc")],
    ],
    ["an unknown channel", "<|channel|>thoughts<|message|>a<|return|>", [content("a")]],
    [
      "words of somebody else",
      "<|channel|>final<|message|>a<|end|><|start|>user<|message|>b<|return|>",
      [content("a")],
    ],
    [
      "a tool call, cut off in its arguments",
      '<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a":',
      [call("f", '{"a":')],
    ],
    [
      "nothing after the end of the turn",
      "<|channel|>final<|message|>a<|return|><|start|>assistant<|channel|>final<|message|>b",
      [content("a")],
    ],
    ["nothing at all", "<|return|>", []],
    ["a header, cut off", "<|channel|>anal", []],
    ["a recipient, cut off", "<|channel|>commentary to=functions.get_w", []],
    ["a whole header, cut off", "<|channel|>analysis", []],
  ])("%s", (_, text, expected) => {
    expect(turn(text)).toEqual(expected)
  })

  it("says why it is over", () => {
    const reason = (text: string) => eventsOf(encodeHarmony(tokenizer, text)).at(-1)
    expect(reason("<|channel|>final<|message|>a<|return|>")).toEqual({ type: "turn_end", reason: "return" })
    expect(reason("<|channel|>commentary to=functions.f<|message|>{}<|call|>")).toEqual({
      type: "turn_end",
      reason: "call",
    })
    expect(reason("<|channel|>final<|message|>a")).toEqual({ type: "turn_end", reason: "truncated" })
  })

  it("keeps characters whole across tokens, and shows the broken end of a cut one", () => {
    const deltas = turn("<|channel|>final<|message|>caf\u00e9 \u{1f600}!<|return|>")
    expect(deltas).toEqual([content("caf\u00e9 \u{1f600}!")])
    const ids = encodeHarmony(tokenizer, "<|channel|>final<|message|>\u{1f600}").slice(0, -1)
    expect(eventsOf(ids).filter(({ type }) => type === "text")).toEqual([{ type: "text", text: "\ufffd" }])
  })

  it("never throws, ends every message it starts, and ends the turn once, whatever the tokens", () => {
    const special = fc.integer({ min: 300, max: 308 })
    const token = fc.oneof(special, fc.integer({ min: 0, max: 256 }), fc.nat(5000))
    fc.assert(
      fc.property(fc.array(token, { maxLength: 120 }), (tokens) => {
        let depth = 0
        const events = eventsOf(tokens)
        for (const { type } of events) {
          if (type === "start") depth++
          if (type === "end") depth--
          if (type === "text") expect(depth).toBe(1)
          expect(depth === 0 || depth === 1).toBe(true)
        }
        expect(depth).toBe(0)
        expect(events.filter(({ type }) => type === "turn_end")).toHaveLength(1)
        expect(events.at(-1)?.type).toBe("turn_end")
      }),
      { numRuns: 2000 },
    )
  })

  it("gives back the text of any well-formed turn", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 30 }).filter((value) => !/<\|[a-z]+\|>/.test(value))
    fc.assert(
      fc.property(text, text, (thought, answer) => {
        const found = turn(
          `<|channel|>analysis<|message|>${thought}<|end|><|start|>assistant<|channel|>final<|message|>${answer}<|return|>`,
        )
        const expected = [thought && reasoning(thought), answer && content(answer)].filter(Boolean)
        expect(found).toEqual(expected)
      }),
    )
  })
})
