import { expect } from "vitest"
import { harmonyFormat } from "../../src/text/harmony_chat.js"
import type { ChatDelta, ConversationOptions } from "../../src/text/messages.js"
import type { Tokenizer } from "../../src/text/tokenizer.js"

/** Deltas that mean something alone. */
export type Whole = Exclude<ChatDelta, { type: "tool_call_start" | "tool_arguments" }>

export const reasoning = (text: string): Whole => ({ type: "reasoning", text })
export const content = (text: string): Whole => ({ type: "content", text })
export const call = (name: string, args: string): Whole => ({ type: "tool_call", name, arguments: args })

/** The deltas of a turn, neighbouring texts joined. The pieces of a call are checked to be the call, and left out. */
export function turnOf(tokens: readonly number[], tokenizer: Tokenizer, options?: ConversationOptions): Whole[] {
  const parser = harmonyFormat(tokenizer).parser(options)
  return joined([...tokens.flatMap((token) => [...parser.push(token)]), ...parser.end()])
}

/** Neighbouring texts of one kind joined. */
export function joined(deltas: readonly ChatDelta[]): Whole[] {
  const all: Whole[] = []
  let open: Extract<ChatDelta, { type: "tool_call" }> | null = null
  for (const delta of deltas) {
    const last = all.at(-1)
    if (delta.type === "tool_call_start") open = { type: "tool_call", name: delta.name, arguments: "" }
    else if (delta.type === "tool_arguments") open = { ...open!, arguments: open!.arguments + delta.text }
    else if (delta.type === "tool_call") {
      if (open) expect(open).toEqual(delta)
      open = null
      all.push(delta)
    } else if (last?.type === delta.type) all[all.length - 1] = { type: last.type, text: last.text + delta.text }
    else all.push(delta)
  }
  expect(open).toBeNull()
  return all
}
