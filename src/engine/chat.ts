import type { GenerateOptions } from "./generate.js"
import { Generation, type GenerationSummary, type StopTokens } from "./generation.js"
import type { Sampled } from "./sampling/sampler.js"
import type { Session } from "./session.js"
import { parseStop, StopStrings } from "./stop.js"

/** A call the model asks for; `arguments` is JSON as the model wrote it. */
export interface ToolCall {
  readonly name: string
  readonly arguments: string
}

/** A function the model may call. */
export interface Tool {
  readonly name: string
  readonly description?: string
  /** JSON Schema of an object. */
  readonly parameters?: Readonly<Record<string, unknown>>
}

/** What an assistant's turn consists of. */
export interface AssistantMessage {
  readonly role: "assistant"
  readonly content: string
  /** The model's analysis. Rendered again only while a tool call of the same turn is open. */
  readonly reasoning?: string
  readonly tool_calls?: readonly ToolCall[]
}

export type ChatMessage =
  | { readonly role: "user"; readonly content: string }
  | AssistantMessage
  /** The result of a call; `name` is the tool's. */
  | { readonly role: "tool"; readonly name: string; readonly content: string }

export type ReasoningEffort = "low" | "medium" | "high"

/** What is rendered beside the messages. */
export interface ConversationOptions {
  /** The developer's instructions. */
  readonly instructions?: string
  readonly reasoning_effort?: ReasoningEffort
  readonly tools?: readonly Tool[]
}

/** A piece of the answer. */
export type ChatDelta =
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "content"; readonly text: string }
  /** Complete, once the model has written it to its end. */
  | ({ readonly type: "tool_call" } & ToolCall)

/** How a family of models writes conversations. */
export interface ChatFormat {
  /** Token ids of the conversation and of the beginning of the assistant's turn. */
  render(messages: readonly ChatMessage[], options: ConversationOptions): ArrayLike<number>
  /** A parser for one turn of the assistant. */
  parser(): ChatParser
}

/** Turns tokens into what they say, whatever the model writes: malformed output gives content, never an error. */
export interface ChatParser {
  push(token: number): Iterable<ChatDelta>
  end(): Iterable<ChatDelta>
}

export interface ChatOptions extends GenerateOptions, ConversationOptions {}

export interface ChatSummary extends GenerationSummary {
  readonly type: "summary"
  /** The turn as a message, to be appended to the conversation. */
  readonly message: AssistantMessage
}

/** Every sampled token comes as a "token", followed by the pieces of the answer that it completes. */
export type ChatEvent = ({ readonly type: "token" } & Sampled) | ChatDelta | ChatSummary

/**
 * Answers a conversation. Stop strings apply to the answer's content, not to reasoning or tool calls.
 *
 * @throws {ParameterError} when an option is out of range
 * @throws {ContextLengthError} when the conversation does not fit
 */
export async function* chat(
  session: Session,
  messages: readonly ChatMessage[],
  format: ChatFormat,
  stopTokens: StopTokens,
  { stop, instructions, reasoning_effort, tools, ...options }: ChatOptions = {},
): AsyncGenerator<ChatEvent, void, undefined> {
  const answer = new Answer(new StopStrings(parseStop(stop)))
  const parser = format.parser()
  const prompt = format.render(messages, { instructions, reasoning_effort, tools })
  const generation = new Generation(session, prompt, stopTokens, options)
  for await (const { finish_reason, ...sampled } of generation) {
    yield { type: "token", ...sampled }
    yield* answer.take(parser.push(sampled.token))
    if (finish_reason && !answer.stopped) yield* answer.end(parser.end())
    if (answer.stopped) break
  }
  yield { type: "summary", ...answer.finish(generation.summary()), message: answer.message }
}

/** Collects a turn while its pieces pass. */
class Answer {
  private content = ""
  private reasoning = ""
  private readonly calls: ToolCall[] = []

  constructor(private readonly stops: StopStrings) {}

  get stopped(): boolean {
    return this.stops.matched !== undefined
  }

  get message(): AssistantMessage {
    const { content, reasoning, calls } = this
    return {
      role: "assistant",
      content,
      ...(reasoning && { reasoning }),
      ...(calls.length > 0 && { tool_calls: calls }),
    }
  }

  *take(deltas: Iterable<ChatDelta>): Generator<ChatDelta> {
    for (const delta of deltas) {
      if (this.stopped) return
      if (delta.type === "content") {
        yield* this.show(this.stops.push(delta.text))
        continue
      }
      yield* this.show(this.stops.end())
      if (delta.type === "reasoning") this.reasoning += delta.text
      else this.calls.push({ name: delta.name, arguments: delta.arguments })
      yield delta
    }
  }

  *end(deltas: Iterable<ChatDelta>): Generator<ChatDelta> {
    yield* this.take(deltas)
    yield* this.show(this.stops.end())
  }

  /** The reason seen from the conversation: a call is a call even if another token ended it. */
  finish(summary: GenerationSummary): GenerationSummary {
    if (this.stopped) return { ...summary, finish_reason: "stop" }
    if (this.calls.length > 0 && summary.finish_reason === "stop") return { ...summary, finish_reason: "tool_calls" }
    return summary
  }

  private *show(text: string): Generator<ChatDelta> {
    if (text === "") return
    this.content += text
    yield { type: "content", text }
  }
}
