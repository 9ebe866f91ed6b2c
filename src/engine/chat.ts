import type { AssistantMessage, ChatDelta, ChatFormat, ToolCall } from "../text/messages.js"
import type { ChatMessage } from "./chat_messages.js"
import { type ConversationParams, parseConversation } from "./chat_request.js"
import type { GenerateOptions } from "./generate.js"
import { Generation, type GenerationSummary, type StopTokens } from "./generation.js"
import type { Sampled } from "./sampling/sampler.js"
import type { SequenceRunner } from "./session.js"
import { parseStop, StopStrings } from "./stop.js"

export interface ChatOptions extends GenerateOptions, ConversationParams {}

/** A call with the id that its result refers to as `tool_call_id`. */
export interface IdentifiedToolCall extends ToolCall {
  readonly id: string
}

/** The turn as a message, to be appended to the conversation. */
export interface AnswerMessage extends AssistantMessage {
  readonly tool_calls?: readonly IdentifiedToolCall[]
}

export interface ChatSummary extends GenerationSummary {
  readonly type: "summary"
  readonly message: AnswerMessage
  /** Those of `completion_tokens` that told reasoning. */
  readonly reasoning_tokens: number
  /** The stop string that ended the turn, if one did. */
  readonly stop_string?: string
}

/** Once the prompt is read, "start" comes; then every sampled token as a "token", followed by the pieces of the answer that it completes. */
export type ChatEvent =
  | { readonly type: "start"; readonly prompt_tokens: number; readonly cached_tokens: number }
  | ({ readonly type: "token" } & Sampled)
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "content"; readonly text: string }
  /** A call begins. Its arguments come in pieces, and then the call as a whole. */
  | { readonly type: "tool_call_start"; readonly id: string; readonly name: string }
  | { readonly type: "tool_arguments"; readonly id: string; readonly text: string }
  | ({ readonly type: "tool_call" } & IdentifiedToolCall)
  | ChatSummary

/**
 * Answers a conversation. Stop strings apply to the answer's content, not to reasoning or tool calls.
 *
 * @throws {ParameterError} when a message, a tool or an option is not what it should be; it names the field
 * @throws {GrammarError} when the answer or arguments cannot be held to their schema
 * @throws {ContextLengthError} when the conversation does not fit
 */
export async function* chat(
  runner: SequenceRunner,
  messages: readonly ChatMessage[],
  format: ChatFormat,
  stopTokens: StopTokens,
  { stop, instructions, reasoning_effort, tools, tool_choice, response_format, ...options }: ChatOptions = {},
): AsyncGenerator<ChatEvent, void, undefined> {
  const answer = new Answer(new StopStrings(parseStop(stop)))
  const params = { instructions, reasoning_effort, tools, tool_choice, response_format }
  const conversation = parseConversation(messages, params)
  const parser = format.parser(conversation.options)
  const prompt = format.render(conversation.messages, conversation.options)
  const mask = await format.constraint?.(conversation.options, runner.vocab_size)
  try {
    const generation = new Generation(runner, prompt, stopTokens, options, { mask })
    const written: number[] = []
    for await (const { finish_reason, ...sampled } of generation) {
      if (written.length === 0) yield { type: "start", ...generation.start() }
      written.push(sampled.token)
      yield { type: "token", ...sampled }
      // An end of the model's own may be a word, which is then no part of the answer.
      const isForeignEnd = stopTokens.has(sampled.token) && !format.ends.has(sampled.token)
      if (!isForeignEnd) yield* answer.take(parser.push(sampled.token))
      if (finish_reason && !answer.stopped) yield* answer.end(parser.end())
      if (answer.stopped) break
    }
    const summary = answer.summary(generation.summary())
    const hasEnd = format.ends.has(written[written.length - 1])
    if (hasEnd && !answer.stopped) format.remember?.(summary.message, conversation.options, written)
    yield { type: "summary", ...summary }
  } finally {
    mask?.close?.()
  }
}

/** Collects a turn while its pieces pass. */
class Answer {
  private content = ""
  private reasoning = ""
  private reasoning_tokens = 0
  private readonly calls: IdentifiedToolCall[] = []
  /** Of the call that is being written. */
  private id = ""

  constructor(private readonly stops: StopStrings) {}

  get stopped(): boolean {
    return this.stops.matched !== undefined
  }

  private get message(): AnswerMessage {
    const { content, reasoning, calls } = this
    return {
      role: "assistant",
      content,
      ...(reasoning && { reasoning }),
      ...(calls.length > 0 && { tool_calls: calls }),
    }
  }

  /** @param deltas of one token */
  *take(deltas: Iterable<ChatDelta>): Generator<ChatEvent> {
    let isReasoning = false
    for (const delta of deltas) {
      if (this.stopped) return
      isReasoning ||= delta.type === "reasoning"
      if (delta.type === "content") yield* this.show(this.stops.push(delta.text))
      else yield* this.other(delta)
    }
    if (isReasoning) this.reasoning_tokens++
  }

  private *other(delta: Exclude<ChatDelta, { type: "content" }>): Generator<ChatEvent> {
    yield* this.show(this.stops.end())
    if (delta.type === "reasoning") {
      this.reasoning += delta.text
      yield delta
      return
    }
    if (delta.type === "tool_call_start") this.id = newCallId()
    const event = { ...delta, id: this.id }
    if (event.type === "tool_call") this.calls.push({ id: event.id, name: event.name, arguments: event.arguments })
    yield event
  }

  *end(deltas: Iterable<ChatDelta>): Generator<ChatEvent> {
    yield* this.take(deltas)
    yield* this.show(this.stops.end())
  }

  /** The reason is seen from the conversation: tool calls are what the message has, whichever token ended it. */
  summary(summary: GenerationSummary): Omit<ChatSummary, "type"> {
    const { message, reasoning_tokens } = this
    const ended = this.stopped || summary.finish_reason !== "length"
    const finish_reason = this.calls.length > 0 && !this.stopped ? "tool_calls" : "stop"
    const stop_string = this.stops.matched
    return {
      ...summary,
      ...(ended && { finish_reason }),
      message,
      reasoning_tokens,
      ...(stop_string !== undefined && { stop_string }),
    }
  }

  private *show(text: string): Generator<ChatEvent> {
    if (text === "") return
    this.content += text
    yield { type: "content", text }
  }
}

/** `call_` and 24 random hexadecimal digits. */
function newCallId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12))
  return `call_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`
}
