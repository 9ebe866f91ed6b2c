import type { ChatSummary } from "../../engine/chat.js"
import type { TurnEvent } from "../served_model.js"
import type { Telling } from "./chat_request.js"
import { type TokenLogprob, tokenLogprob } from "./logprobs.js"

interface ChoiceLogprobs {
  readonly content: readonly TokenLogprob[]
  readonly refusal: null
}

type FinishReason = "stop" | "length" | "tool_calls" | "function_call"

/** A choice of an answer that is not streamed. */
export interface ChatChoice {
  readonly index: number
  readonly message: object
  readonly logprobs: ChoiceLogprobs | null
  readonly finish_reason: FinishReason
}

/** A choice of a chunk. */
export interface ChatDelta {
  readonly index: number
  readonly delta: object
  readonly logprobs: ChoiceLogprobs | null
  readonly finish_reason: FinishReason | null
}

/** One of the answers to a conversation, while its pieces pass. */
export class ChatSample {
  summary: ChatSummary | null = null
  private readonly logged: TokenLogprob[] = []
  /** Of the calls that are told: their number and whether they are of a custom tool. */
  private readonly calls = new Map<string, { readonly index: number; readonly isCustom: boolean }>()

  constructor(
    private readonly index: number,
    private readonly telling: Telling,
  ) {}

  /** What a stream tells of an event. */
  push(event: TurnEvent): ChatDelta[] {
    switch (event.type) {
      case "start":
        return [this.chunk({ role: "assistant", content: "", refusal: null })]
      case "reasoning":
        return [this.chunk({ reasoning: event.text, reasoning_content: event.text })]
      case "content": {
        const logged = event.logprobs?.map(tokenLogprob) ?? []
        this.logged.push(...logged)
        return [{ ...this.chunk({ content: event.text }), logprobs: this.logprobs(logged) }]
      }
      case "tool_call_start":
        return this.begin(event.id, event.name)
      case "tool_arguments":
        return this.argue(event.id, event.text)
      case "tool_call":
        return []
      case "summary":
        this.summary = event
        return [{ ...this.chunk({}), finish_reason: this.finishReason(event) }]
    }
  }

  /** The answer as a whole. */
  choice(summary: ChatSummary): ChatChoice {
    const { content, reasoning, tool_calls = [] } = summary.message
    const told = tool_calls.filter(({ id }) => this.calls.has(id))
    const calls = this.telling.old
      ? told.map(({ name, arguments: args }) => ({ function_call: { name, arguments: args } }))[0]
      : {
          tool_calls: told.map(({ id, name, arguments: args }) =>
            this.calls.get(id)?.isCustom
              ? { id, type: "custom", custom: { name, input: args } }
              : { id, type: "function", function: { name, arguments: args } },
          ),
        }
    return {
      index: this.index,
      message: {
        role: "assistant",
        content: content === "" && told.length > 0 ? null : content,
        refusal: null,
        annotations: [],
        ...(reasoning && { reasoning, reasoning_content: reasoning }),
        ...(told.length > 0 && calls),
      },
      logprobs: this.logprobs(this.logged),
      finish_reason: this.finishReason(summary),
    }
  }

  private begin(id: string, name: string): ChatDelta[] {
    if (this.telling.single && this.calls.size > 0) return []
    const index = this.calls.size
    const isCustom = this.telling.custom.has(name)
    this.calls.set(id, { index, isCustom })
    if (this.telling.old) return [this.chunk({ function_call: { name, arguments: "" } })]
    // OpenAI's document knows no type of a chunk's call but "function".
    const call = isCustom ? { custom: { name, input: "" } } : { type: "function", function: { name, arguments: "" } }
    return [this.chunk({ tool_calls: [{ index, id, ...call }] })]
  }

  private argue(id: string, text: string): ChatDelta[] {
    const call = this.calls.get(id)
    if (!call) return []
    if (this.telling.old) return [this.chunk({ function_call: { arguments: text } })]
    const piece = call.isCustom ? { custom: { input: text } } : { function: { arguments: text } }
    return [this.chunk({ tool_calls: [{ index: call.index, ...piece }] })]
  }

  private finishReason({ finish_reason }: ChatSummary): FinishReason {
    return finish_reason === "tool_calls" && this.telling.old ? "function_call" : finish_reason
  }

  private logprobs(content: readonly TokenLogprob[]): ChoiceLogprobs | null {
    return this.telling.logprobs ? { content, refusal: null } : null
  }

  private chunk(delta: object): ChatDelta {
    return { index: this.index, delta, logprobs: null, finish_reason: null }
  }
}
