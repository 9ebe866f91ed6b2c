import type { ChatSummary } from "../../engine/chat.js"
import { inputOf } from "../call_input.js"
import type { TurnEvent } from "../served_model.js"
import { toolUseId } from "./ids.js"
import type { MessagesBody } from "./request.js"
import { signatureOf } from "./signature.js"

export interface Usage {
  readonly input_tokens: number
  /** Always 0: reading a prompt is what fills the cache, and costs no more. */
  readonly cache_creation_input_tokens: number
  readonly cache_read_input_tokens: number
  readonly output_tokens: number
  readonly output_tokens_details?: { readonly thinking_tokens: number }
}

export type ContentBlock =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "thinking"; readonly thinking: string; readonly signature: string }
  | { readonly type: "tool_use"; readonly id: string; readonly name: string; readonly input: object }

type Ending = { readonly stop_reason: string | null; readonly stop_sequence: string | null }

export interface Message extends Ending {
  readonly id: string
  readonly type: "message"
  readonly role: "assistant"
  readonly model: string
  readonly content: readonly ContentBlock[]
  readonly usage: Usage
}

type Delta =
  | { readonly type: "text_delta"; readonly text: string }
  | { readonly type: "thinking_delta"; readonly thinking: string }
  | { readonly type: "signature_delta"; readonly signature: string }
  | { readonly type: "input_json_delta"; readonly partial_json: string }

/** An event of Anthropic's stream. */
export type StreamEvent =
  | { readonly type: "message_start"; readonly message: Message }
  | { readonly type: "content_block_start"; readonly index: number; readonly content_block: ContentBlock }
  | { readonly type: "content_block_delta"; readonly index: number; readonly delta: Delta }
  | { readonly type: "content_block_stop"; readonly index: number }
  | { readonly type: "message_delta"; readonly delta: Ending; readonly usage: Usage }
  | { readonly type: "message_stop" }

/** How a turn is told. */
export interface Telling {
  readonly model: string
  /** Whether thinking is told, sealed in a signature, or kept. */
  readonly thinking: "shown" | "omitted" | "hidden"
  readonly max_tokens: number
  /** Whether a second call is left out. */
  readonly oneCall: boolean
}

/** How the turn that a request asks for is told by `model`. */
export function tellingOf(body: MessagesBody, model: string): Telling {
  const { thinking, max_tokens, tool_choice } = body
  const asked = thinking && thinking.type !== "disabled"
  return {
    model,
    thinking: asked ? (thinking.display === "omitted" ? "omitted" : "shown") : "hidden",
    max_tokens,
    oneCall: tool_choice?.disable_parallel_tool_use === true,
  }
}

/** A turn as Anthropic's stream of events. */
export async function* messageEvents(
  turn: AsyncIterable<TurnEvent>,
  telling: Telling,
): AsyncGenerator<StreamEvent, void, undefined> {
  const blocks = new Blocks(telling)
  let usage: Usage | undefined
  for await (const event of turn) {
    if (event.type === "start") {
      usage = usageOf(event)
      yield { type: "message_start", message: emptyMessage(telling.model, usage) }
      if (telling.max_tokens > 0) continue
      yield { type: "message_delta", delta: { stop_reason: "max_tokens", stop_sequence: null }, usage }
      break
    }
    if (event.type !== "summary") {
      yield* blocks.take(event)
      continue
    }
    yield* blocks.close()
    const { completion_tokens: output_tokens, reasoning_tokens: thinking_tokens } = event
    yield {
      type: "message_delta",
      delta: endingOf(event, telling.max_tokens),
      usage: { ...usageOf(event), output_tokens, output_tokens_details: { thinking_tokens } },
    }
  }
  yield { type: "message_stop" }
}

function usageOf({ prompt_tokens, cached_tokens }: { prompt_tokens: number; cached_tokens: number }): Usage {
  return {
    input_tokens: prompt_tokens - cached_tokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached_tokens,
    output_tokens: 0,
  }
}

function emptyMessage(model: string, usage: Usage): Message {
  const id = `msg_${crypto.randomUUID().replaceAll("-", "")}`
  return { id, type: "message", role: "assistant", model, content: [], stop_reason: null, stop_sequence: null, usage }
}

function endingOf({ stop_string, finish_reason, completion_tokens }: ChatSummary, max_tokens: number): Ending {
  if (stop_string !== undefined) return { stop_reason: "stop_sequence", stop_sequence: stop_string }
  const isFull = finish_reason === "length" && completion_tokens < max_tokens
  const reasons = { stop: "end_turn", tool_calls: "tool_use", length: "max_tokens" }
  return { stop_reason: isFull ? "model_context_window_exceeded" : reasons[finish_reason], stop_sequence: null }
}

/** Sorts a turn into content blocks, one open at a time. */
class Blocks {
  private open: ContentBlock["type"] | null = null
  private index = -1
  private called = 0
  /** What was thought in the block that is open. */
  private sealed = ""

  constructor(private readonly telling: Telling) {}

  *take(event: Exclude<TurnEvent, { type: "start" | "summary" }>): Generator<StreamEvent> {
    const { thinking, oneCall } = this.telling
    if (event.type === "reasoning") {
      if (thinking === "hidden") return
      yield* this.enter("thinking", { type: "thinking", thinking: "", signature: "" })
      if (thinking === "omitted") this.sealed += event.text
      else yield this.delta({ type: "thinking_delta", thinking: event.text })
      return
    }
    if (event.type === "content") {
      yield* this.enter("text", { type: "text", text: "" })
      yield this.delta({ type: "text_delta", text: event.text })
      return
    }
    if (event.type === "tool_call_start") this.called++
    if (oneCall && this.called > 1) return
    if (event.type === "tool_call_start") {
      yield* this.close()
      yield* this.enter("tool_use", { type: "tool_use", id: toolUseId(event.id), name: event.name, input: {} })
    } else if (event.type === "tool_arguments") {
      yield this.delta({ type: "input_json_delta", partial_json: event.text })
    } else yield* this.close()
  }

  *close(): Generator<StreamEvent> {
    if (this.open === null) return
    if (this.open === "thinking") yield this.delta({ type: "signature_delta", signature: signatureOf(this.sealed) })
    this.sealed = ""
    this.open = null
    yield { type: "content_block_stop", index: this.index }
  }

  private *enter(type: ContentBlock["type"], content_block: ContentBlock): Generator<StreamEvent> {
    if (this.open === type) return
    yield* this.close()
    this.open = type
    yield { type: "content_block_start", index: ++this.index, content_block }
  }

  private delta(delta: Delta): StreamEvent {
    return { type: "content_block_delta", index: this.index, delta }
  }
}

/** The message that a stream's events make up. */
export async function assembled(events: AsyncIterable<StreamEvent>): Promise<Message> {
  let message = {} as Message
  const content: ContentBlock[] = []
  let json = ""
  for await (const event of events) {
    if (event.type === "message_start") message = event.message
    else if (event.type === "message_delta") message = { ...message, ...event.delta, usage: event.usage }
    else if (event.type === "content_block_start") {
      content.push(event.content_block)
      json = ""
    } else if (event.type === "content_block_delta") {
      if (event.delta.type === "input_json_delta") json += event.delta.partial_json
      else content.push(extended(content.pop()!, event.delta))
    } else if (event.type === "content_block_stop") {
      const block = content.at(-1)!
      if (block.type === "tool_use") content[content.length - 1] = { ...block, input: inputOf(json) }
    }
  }
  return { ...message, content }
}

function extended(block: ContentBlock, delta: Delta): ContentBlock {
  if (delta.type === "text_delta" && block.type === "text") return { ...block, text: block.text + delta.text }
  if (block.type !== "thinking") return block
  if (delta.type === "thinking_delta") return { ...block, thinking: block.thinking + delta.thinking }
  return delta.type === "signature_delta" ? { ...block, signature: delta.signature } : block
}
