import type { ChatMessage } from "../../engine/chat_messages.js"
import { refused, type RequestError } from "../request_error.js"
import type { CallOutput, CustomCall, FunctionCall, Item, OutputItem } from "./items.js"

/** An item, and where the request has it: undefined for what comes from an earlier response. */
export interface PlacedItem {
  readonly item: Item
  readonly place?: string
}

/**
 * A conversation as the engine takes it. What the model said in one go, its reasoning, words and calls, becomes one message again, so that
 * it is rendered as it was written.
 *
 * @throws {RequestError} for the output of a call that is not there, and for calls that have one id
 */
export function messagesOf(items: readonly PlacedItem[]): ChatMessage[] {
  const messages: ChatMessage[] = []
  const called = new Set<string>()
  let turn = new AssistantTurn()
  const endTurn = () => {
    messages.push(...turn.messages())
    turn = new AssistantTurn()
  }
  for (const { item, place } of items) {
    if (isOutput(item)) {
      endTurn()
      if (!called.has(item.call_id))
        throw wrongCall(item.call_id, place, "no call with the id # comes before its output")
      messages.push({ role: "tool", tool_call_id: item.call_id, content: item.output })
    } else if (item.type === "message" && item.role !== "assistant") {
      endTurn()
      messages.push({ role: item.role, content: textOf(item.content) })
    } else {
      if (!turn.has(item)) endTurn()
      if ("call_id" in item) {
        if (turn.clashes(item)) throw wrongCall(item.call_id, place, "another call has the id #")
        called.add(item.call_id)
      }
      turn.add(item)
    }
  }
  endTurn()
  return messages
}

function isOutput(item: Item): item is CallOutput {
  return item.type === "function_call_output" || item.type === "custom_tool_call_output"
}

/** Consecutive items of one message: harmony's order is reasoning, words, calls. */
class AssistantTurn {
  private reasoning = ""
  private content = ""
  private readonly calls: (FunctionCall | CustomCall)[] = []
  private readonly names = new Map<string, string>()

  /** Whether an item that follows can be a part of the same message. */
  has(item: OutputItem): boolean {
    if (item.type === "reasoning") return this.content === "" && this.calls.length === 0
    return item.type !== "message" || (this.content === "" && this.calls.length === 0)
  }

  /** Whether a result with the id of this call could be another's. */
  clashes({ call_id, name }: FunctionCall | CustomCall): boolean {
    return (this.names.get(call_id) ?? name) !== name
  }

  add(item: OutputItem): void {
    if (item.type === "reasoning") this.reasoning += textOf(item.content)
    else if (item.type === "message") this.content += textOf(item.content)
    else {
      this.calls.push(item)
      this.names.set(item.call_id, item.name)
    }
  }

  *messages(): Generator<ChatMessage> {
    const { reasoning, content, calls } = this
    if (!reasoning && !content && calls.length === 0) return
    const tool_calls = calls.map((call) => ({
      id: call.call_id,
      name: call.name,
      arguments: call.type === "function_call" ? call.arguments : call.input,
    }))
    yield {
      role: "assistant",
      ...(content && { content }),
      ...(reasoning && { reasoning }),
      ...(tool_calls.length > 0 && { tool_calls }),
    }
  }
}

function textOf(parts: readonly { readonly text: string }[]): string {
  return parts.map(({ text }) => text).join("")
}

/** @param problem with a # for the id */
function wrongCall(id: string, place: string | undefined, problem: string): RequestError {
  const message = problem.replace("#", () => JSON.stringify(id.slice(0, 80)))
  return refused(place ? `${place}.call_id` : "previous_response_id", message)
}
