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
}

/** Every sampled token comes as a "token", followed by the pieces of the answer that it completes. */
export type ChatEvent =
  | ({ readonly type: "token" } & Sampled)
  | Exclude<ChatDelta, { type: "tool_call" }>
  | ({ readonly type: "tool_call" } & IdentifiedToolCall)
  | ChatSummary

/**
 * Answers a conversation. Stop strings apply to the answer's content, not to reasoning or tool calls.
 *
 * @throws {ParameterError} when a message, a tool or an option is not what it should be; it names the field
 * @throws {ContextLengthError} when the conversation does not fit
 */
export async function* chat(
  runner: SequenceRunner,
  messages: readonly ChatMessage[],
  format: ChatFormat,
  stopTokens: StopTokens,
  { stop, instructions, reasoning_effort, tools, ...options }: ChatOptions = {},
): AsyncGenerator<ChatEvent, void, undefined> {
  const answer = new Answer(new StopStrings(parseStop(stop)))
  const conversation = parseConversation(messages, { instructions, reasoning_effort, tools })
  const parser = format.parser(conversation.options)
  const prompt = format.render(conversation.messages, conversation.options)
  const generation = new Generation(runner, prompt, stopTokens, options)
  for await (const { finish_reason, ...sampled } of generation) {
    yield { type: "token", ...sampled }
    // An end of the model's own may be a word, which is then no part of the answer.
    const isForeignEnd = stopTokens.has(sampled.token) && !format.ends.has(sampled.token)
    if (!isForeignEnd) yield* answer.take(parser.push(sampled.token))
    if (finish_reason && !answer.stopped) yield* answer.end(parser.end())
    if (answer.stopped) break
  }
  yield { type: "summary", ...answer.finish(generation.summary()), message: answer.message }
}

/** Collects a turn while its pieces pass. */
class Answer {
  private content = ""
  private reasoning = ""
  private readonly calls: IdentifiedToolCall[] = []

  constructor(private readonly stops: StopStrings) {}

  get stopped(): boolean {
    return this.stops.matched !== undefined
  }

  get message(): AnswerMessage {
    const { content, reasoning, calls } = this
    return {
      role: "assistant",
      content,
      ...(reasoning && { reasoning }),
      ...(calls.length > 0 && { tool_calls: calls }),
    }
  }

  *take(deltas: Iterable<ChatDelta>): Generator<ChatEvent> {
    for (const delta of deltas) {
      if (this.stopped) return
      if (delta.type === "content") {
        yield* this.show(this.stops.push(delta.text))
        continue
      }
      yield* this.show(this.stops.end())
      if (delta.type === "reasoning") {
        this.reasoning += delta.text
        yield delta
      } else {
        const call = { id: newCallId(), name: delta.name, arguments: delta.arguments }
        this.calls.push(call)
        yield { type: "tool_call", ...call }
      }
    }
  }

  *end(deltas: Iterable<ChatDelta>): Generator<ChatEvent> {
    yield* this.take(deltas)
    yield* this.show(this.stops.end())
  }

  /** The reason seen from the conversation: tool calls are what the message has, whichever token ended it. */
  finish(summary: GenerationSummary): GenerationSummary {
    if (this.stopped) return { ...summary, finish_reason: "stop" }
    if (summary.finish_reason === "length") return summary
    return { ...summary, finish_reason: this.calls.length > 0 ? "tool_calls" : "stop" }
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
