import { harmonyFormat } from "../../src/text/harmony_chat.js"
import type { ChatDelta, ConversationOptions } from "../../src/text/messages.js"
import type { Tokenizer } from "../../src/text/tokenizer.js"

export const reasoning = (text: string): ChatDelta => ({ type: "reasoning", text })
export const content = (text: string): ChatDelta => ({ type: "content", text })
export const call = (name: string, args: string): ChatDelta => ({ type: "tool_call", name, arguments: args })

/** The deltas of a turn, neighbouring texts joined. */
export function turnOf(tokens: readonly number[], tokenizer: Tokenizer, options?: ConversationOptions): ChatDelta[] {
  const parser = harmonyFormat(tokenizer).parser(options)
  return joined([...tokens.flatMap((token) => [...parser.push(token)]), ...parser.end()])
}

/** Neighbouring texts of one kind joined. */
export function joined(deltas: readonly ChatDelta[]): ChatDelta[] {
  const all: ChatDelta[] = []
  for (const delta of deltas) {
    const last = all.at(-1)
    if (last && last.type === delta.type && last.type !== "tool_call" && delta.type !== "tool_call") {
      all[all.length - 1] = { type: last.type, text: last.text + delta.text }
    } else all.push(delta)
  }
  return all
}
