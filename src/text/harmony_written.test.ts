import { describe, expect, it } from "vitest"
import { byteTokenizer, encodeHarmony } from "../../test/text/byte_tokenizer.js"
import { harmonyFormat } from "./harmony_chat.js"
import type { AssistantMessage, ConversationOptions, Message } from "./messages.js"

const tokenizer = byteTokenizer(["Oslo"])
const OSLO = 400
const options: ConversationOptions = { tools: [{ name: "weather" }, { name: "patch", freeform: true }] }
const question: Message = { role: "user", content: "Is it cold in Oslo?" }

function turnOf(text: string): number[] {
  const [before, after] = text.split("OSLO")
  const cut = after === undefined ? [] : [OSLO, ...encodeHarmony(tokenizer, after)]
  return [...encodeHarmony(tokenizer, before), ...cut]
}

/** What the next prompt is after the model wrote `text`, and the turn came back as `message` with this result. */
function next(text: string, message: AssistantMessage, back: Message = message) {
  const format = harmonyFormat(tokenizer, { current_date: "2026-11-28" })
  const prompt = Array.from(format.render([question], options))
  const written = turnOf(text)
  format.remember!(message, options, written)
  const result: Message = { role: "tool", name: message.tool_calls?.[0].name ?? "weather", content: "-3" }
  const rendered = Array.from(format.render([question, back, result], options))
  return { rendered, seen: [...prompt, ...written] }
}

describe("a turn that comes back", () => {
  const reasoning = "Look it up."
  const call = { id: "c1", name: "weather", arguments: '{"city":"Oslo"}' }
  const message: AssistantMessage = { role: "assistant", content: "", reasoning, tool_calls: [call] }
  const text =
    "<|channel|>analysis<|message|>Look it up.<|end|><|start|>assistant<|channel|>commentary to=functions.weather " +
    '<|constrain|>json<|message|>{"city":"OSLO"}<|call|>'

  it("has the ids that the model wrote, whatever they are", () => {
    const { rendered, seen } = next(text, message)
    expect(rendered.slice(0, seen.length)).toEqual(seen)
  })

  it("has them though the client left out the reasoning", () => {
    const { reasoning: _, ...back } = message
    const { rendered, seen } = next(text, message, back)
    expect(rendered.slice(0, seen.length)).toEqual(seen)
  })

  it("has them though the client kept the last piece of the reasoning", () => {
    const { rendered, seen } = next(text, message, { ...message, reasoning: " it up." })
    expect(rendered.slice(0, seen.length)).toEqual(seen)
    const other = next(text, message, { ...message, reasoning: "Look it" })
    expect(tokenizer.decode(other.rendered)).toContain("<|channel|>analysis<|message|>Look it<|end|>")
  })

  it("has them though the client holds arguments as an object", () => {
    const spaced = { ...message, tool_calls: [{ ...call, arguments: '{ "city": "Oslo" }' }] }
    const { rendered, seen } = next(text.replace('{"city":"OSLO"}', '{ "city": "OSLO" }'), spaced, message)
    expect(rendered.slice(0, seen.length)).toEqual(seen)
  })

  it("is rendered anew where the client changed it", () => {
    const changed = { ...message, tool_calls: [{ ...call, arguments: '{"city":"Rome"}' }] }
    const { rendered, seen } = next(text, message, changed)
    expect(rendered.slice(0, seen.length)).not.toEqual(seen)
    expect(tokenizer.decode(rendered)).toContain(
      'to=functions.weather<|channel|>commentary <|constrain|>json<|message|>{"city":"Rome"}',
    )
  })

  it("is no JSON where the tool takes text", () => {
    const patch: AssistantMessage = {
      role: "assistant",
      content: "",
      tool_calls: [{ name: "patch", arguments: "+ a" }],
    }
    const written = "<|channel|>commentary to=functions.patch<|message|>+ a<|call|>"
    const { rendered } = next("<|channel|>final<|message|>x<|return|>", { role: "assistant", content: "x" }, patch)
    expect(tokenizer.decode(rendered)).toContain("to=functions.patch<|channel|>commentary<|message|>+ a<|call|>")
    const again = next(written, patch)
    expect(again.rendered.slice(0, again.seen.length)).toEqual(again.seen)
  })
})

describe("instructions", () => {
  const format = harmonyFormat(tokenizer, { current_date: "2026-11-28" })
  const textOf = (messages: Message[]) => tokenizer.decode(Array.from(format.render(messages, {})))

  it("before all else are one message, and later ones stay where they are", () => {
    const first: Message[] = [{ role: "system", content: "A" }, { role: "developer", content: "B" }, question]
    const before = textOf(first)
    expect(before).toContain("<|start|>developer<|message|># Instructions\n\nA\n\nB<|end|>")
    const later = textOf([...first, { role: "assistant", content: "Yes." }, { role: "system", content: "C" }, question])
    expect(later.startsWith(before)).toBe(true)
    expect(later).toContain("<|start|>developer<|message|># Instructions\n\nC<|end|><|start|>user")
  })
})
