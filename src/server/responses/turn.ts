import type { ChatSummary } from "../../engine/chat.js"
import { openaiError } from "../openai/errors.js"
import { type TokenLogprob, tokenLogprob } from "../openai/logprobs.js"
import type { ErrorKind, RequestError } from "../request_error.js"
import type { LoggedToken, TurnEvent } from "../served_model.js"
import {
  type CustomCall,
  type FunctionCall,
  itemId,
  type ItemStatus,
  type OutputItem,
  type OutputMessage,
  type ReasoningItem,
  sealed,
} from "./items.js"
import { now, type ResponseObject, type ResponseUsage } from "./response.js"

/** A streamed event, less its number. */
export interface ResponseEvent {
  readonly type: string
  readonly [field: string]: unknown
}

/**
 * What a turn's events become.
 *
 * @returns the response, whose last event is not told yet
 * @throws {RequestError} what the turn throws
 */
export async function* responseEvents(
  writer: ResponseWriter,
  turn: AsyncIterable<TurnEvent>,
): AsyncGenerator<ResponseEvent, ResponseObject, undefined> {
  yield* writer.begin()
  for await (const event of turn) {
    if (event.type === "summary") return yield* writer.finish(event)
    yield* writer.take(event)
  }
  throw new Error("the turn has no summary")
}

/** An item while it is written. */
interface OpenItem {
  push(text: string, logprobs?: readonly LoggedToken[]): Iterable<ResponseEvent>
  end(status: ItemStatus, isPreamble: boolean): Generator<ResponseEvent, OutputItem>
}

export interface WriterOptions {
  /** Names of the tools that take text. */
  readonly custom: ReadonlySet<string>
  /** Whether reasoning goes out as `encrypted_content` too. */
  readonly seals: boolean
}

/** OpenAI's `ResponseErrorCode`, and the one beside it that clients know. */
const FAILURES: Partial<Record<ErrorKind, string>> = {
  context_length: "context_length_exceeded",
  invalid_request: "invalid_prompt",
  overloaded: "rate_limit_exceeded",
}

/** Makes a response of a turn, and the events that tell it. */
export class ResponseWriter {
  private output: OutputItem[] = []
  private open: { readonly kind: TurnEvent["type"]; readonly item: OpenItem } | null = null

  /** @param begun the response at its beginning */
  constructor(
    private readonly begun: ResponseObject,
    private readonly options: WriterOptions,
  ) {}

  /** The response so far. */
  get response(): ResponseObject {
    return { ...this.begun, output: this.output }
  }

  *begin(): Generator<ResponseEvent> {
    yield { type: "response.created", response: this.response }
    yield { type: "response.in_progress", response: this.response }
  }

  *take(event: TurnEvent): Generator<ResponseEvent> {
    switch (event.type) {
      case "reasoning":
        if (this.open?.kind !== "reasoning") {
          yield* this.start(event.type, reasoningItem(this.place("reasoning"), this.options.seals))
        }
        yield* this.open!.item.push(event.text)
        return
      case "content":
        if (this.open?.kind !== "content") yield* this.start(event.type, messageItem(this.place("message")))
        yield* this.open!.item.push(event.text, event.logprobs)
        return
      case "tool_call_start": {
        const { id, name } = event
        const isCustom = this.options.custom.has(name)
        yield* this.end("completed", true)
        const place = this.place(isCustom ? "custom_tool_call" : "function_call")
        yield* this.start(event.type, isCustom ? customCall(place, id, name) : functionCall(place, id, name))
        return
      }
      case "tool_arguments":
        yield* this.open!.item.push(event.text)
    }
  }

  /** Ends what is open. @returns the response as it is at last */
  *finish(summary: ChatSummary): Generator<ResponseEvent, ResponseObject> {
    const isCut = summary.finish_reason === "length"
    const isSilent = !isCut && !summary.message.content && !summary.message.tool_calls
    // A turn without an answer would leave clients nothing to show, and agents waiting.
    if (isSilent) yield* this.start("content", messageItem(this.place("message")))
    yield* this.end(isCut ? "incomplete" : "completed", false)
    return {
      ...this.response,
      status: isCut ? "incomplete" : "completed",
      completed_at: isCut ? null : now(),
      incomplete_details: isCut ? { reason: "max_output_tokens" } : null,
      usage: usageOf(summary),
    }
  }

  /** The response when its turn broke off: it has what was done by then. */
  failed(error: RequestError): ResponseObject {
    const { message } = openaiError(error).body.error
    return { ...this.response, status: "failed", error: { code: FAILURES[error.kind] ?? "server_error", message } }
  }

  private place(type: OutputItem["type"]): ItemPlace {
    // What is open is part of the output before the next item is.
    const output_index = this.output.length + (this.open ? 1 : 0)
    return { id: itemId(type, this.begun.id, output_index), output_index }
  }

  private *start(kind: TurnEvent["type"], [item, added]: StartedItem): Generator<ResponseEvent> {
    yield* this.end("completed", false)
    this.open = { kind, item }
    yield* added
  }

  private *end(status: ItemStatus, isPreamble: boolean): Generator<ResponseEvent> {
    if (!this.open) return
    const item = yield* this.open.item.end(status, isPreamble)
    yield { type: "response.output_item.done", output_index: this.output.length, item }
    this.output = [...this.output, item]
    this.open = null
  }
}

interface ItemPlace {
  readonly id: string
  readonly output_index: number
}

type StartedItem = readonly [OpenItem, readonly ResponseEvent[]]

const added = (output_index: number, item: OutputItem): ResponseEvent => ({
  type: "response.output_item.added",
  output_index,
  item,
})

function reasoningItem({ id, output_index }: ItemPlace, seals: boolean): StartedItem {
  const at = { item_id: id, output_index, content_index: 0 }
  const part = (text: string) => ({ type: "reasoning_text", text }) as const
  const item: ReasoningItem = { type: "reasoning", id, summary: [], content: [], status: "in_progress" }
  let text = ""
  const open: OpenItem = {
    *push(delta) {
      text += delta
      yield { type: "response.reasoning_text.delta", ...at, delta }
    },
    *end(status) {
      yield { type: "response.reasoning_text.done", ...at, text }
      yield { type: "response.content_part.done", ...at, part: part(text) }
      return { ...item, content: [part(text)], ...(seals && { encrypted_content: sealed(text) }), status }
    },
  }
  return [open, [added(output_index, item), { type: "response.content_part.added", ...at, part: part("") }]]
}

function messageItem({ id, output_index }: ItemPlace): StartedItem {
  const at = { item_id: id, output_index, content_index: 0 }
  const item: OutputMessage = { type: "message", id, role: "assistant", content: [], status: "in_progress" }
  let text = ""
  const logprobs: TokenLogprob[] = []
  const part = () => ({ type: "output_text", text, annotations: [], logprobs: [...logprobs] }) as const
  const open: OpenItem = {
    *push(delta, tokens = []) {
      text += delta
      const logged = tokens.map(tokenLogprob)
      logprobs.push(...logged)
      yield { type: "response.output_text.delta", ...at, delta, logprobs: logged }
    },
    *end(status, isPreamble) {
      yield { type: "response.output_text.done", ...at, text, logprobs: [...logprobs] }
      yield { type: "response.content_part.done", ...at, part: part() }
      return { ...item, content: [part()], phase: isPreamble ? "commentary" : "final_answer", status }
    },
  }
  return [open, [added(output_index, item), { type: "response.content_part.added", ...at, part: part() }]]
}

function functionCall(place: ItemPlace, call_id: string, name: string): StartedItem {
  const item = (text: string, status: ItemStatus): FunctionCall => {
    return { type: "function_call", id: place.id, call_id, name, arguments: text, status }
  }
  return callItem(place, item, "response.function_call_arguments", (text) => ({ name, arguments: text }))
}

function customCall(place: ItemPlace, call_id: string, name: string): StartedItem {
  const item = (text: string, status: ItemStatus): CustomCall => {
    return { type: "custom_tool_call", id: place.id, call_id, name, input: text, status }
  }
  return callItem(place, item, "response.custom_tool_call_input", (text) => ({ input: text }))
}

/** @param told what the last of its `events` says */
function callItem(
  { id, output_index }: ItemPlace,
  item: (text: string, status: ItemStatus) => OutputItem,
  events: string,
  told: (text: string) => object,
): StartedItem {
  const at = { item_id: id, output_index }
  let text = ""
  const open: OpenItem = {
    *push(delta) {
      text += delta
      yield { type: `${events}.delta`, ...at, delta }
    },
    *end(status) {
      yield { type: `${events}.done`, ...at, ...told(text) }
      return item(text, status)
    },
  }
  return [open, [added(output_index, item("", "in_progress"))]]
}

function usageOf(summary: ChatSummary): ResponseUsage {
  const { prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens } = summary
  return {
    input_tokens: prompt_tokens,
    input_tokens_details: { cached_tokens, cache_write_tokens: prompt_tokens - cached_tokens },
    output_tokens: completion_tokens,
    output_tokens_details: { reasoning_tokens },
    total_tokens: prompt_tokens + completion_tokens,
  }
}
