import type {
  AssistantMessage,
  ChatDelta,
  ChatFormat,
  ChatMessage,
  ConversationOptions,
  ToolCall,
} from "../text/messages.js"
import type { GenerateOptions } from "./generate.js"
import { Generation, type GenerationSummary, type StopTokens } from "./generation.js"
import type { Sampled } from "./sampling/sampler.js"
import type { Session } from "./session.js"
import { parseStop, StopStrings } from "./stop.js"

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
