import type { ChatMessage } from "../engine/chat_messages.js"
import type { ConversationParams } from "../engine/chat_request.js"
import type { LanguageModel } from "../engine/model.js"
import type { Sampled } from "../engine/sampling/sampler.js"
import { asRequestError } from "./faults.js"
import type {
  CompletionEvent,
  CompletionOptions,
  LoggedToken,
  ServedLoad,
  ServedModel,
  ServedModelInfo,
  TokenText,
  TurnEvent,
  TurnOptions,
} from "./served_model.js"

/** What is served of a `LanguageModel`. */
export type LocalLanguageModel = Pick<LanguageModel, "info" | "text" | "chat" | "generate" | "render" | "load">

/** A model that runs in this process. */
export class LocalModel implements ServedModel {
  readonly info: ServedModelInfo

  constructor(
    private readonly model: LocalLanguageModel,
    name = model.info.name,
  ) {
    const { model_type, backend, weight_bytes, layers, vocab_size, max_context, chats } = model.info
    this.info = { name, model_type, backend, weight_bytes, layers, vocab_size, max_context, chats }
  }

  async *chat(messages: readonly ChatMessage[], options: TurnOptions): AsyncGenerator<TurnEvent, void, undefined> {
    /** Those that the next piece of content consists of. */
    let logged: LoggedToken[] = []
    try {
      for await (const event of this.model.chat(messages, options)) {
        if (event.type === "token") {
          // A special token ends a header: what came before is no content.
          if (this.model.text.isSpecial(event.token)) logged = []
          else if (options.logprobs) logged.push(this.logged(event))
        } else if (event.type === "content" && options.logprobs) {
          yield { ...event, logprobs: logged }
          logged = []
        } else {
          logged = []
          yield event
        }
      }
    } catch (error) {
      throw asRequestError(error)
    }
  }

  async *generate(
    prompt: string | readonly number[],
    options: CompletionOptions,
  ): AsyncGenerator<CompletionEvent, void, undefined> {
    let logged: LoggedToken[] = []
    try {
      for await (const result of this.model.generate(prompt, options)) {
        if (result.type === "summary") {
          yield result
          continue
        }
        // A special token is no part of the text.
        if (options.logprobs && !this.model.text.isSpecial(result.token)) logged.push(this.logged(result))
        if (result.text === "") continue
        yield { type: "text", text: result.text, ...(options.logprobs && { logprobs: logged }) }
        logged = []
      }
    } catch (error) {
      throw asRequestError(error)
    }
  }

  async render(messages: readonly ChatMessage[], params: ConversationParams): Promise<number[]> {
    return failing(() => Array.from(this.model.render(messages, params)))
  }

  async tokenize(text: string, special = false): Promise<number[]> {
    return failing(() => (special ? this.model.text.encodeSpecial(text) : this.model.text.encode(text)))
  }

  async detokenize(ids: readonly number[]): Promise<string> {
    return failing(() => this.model.text.decode(ids))
  }

  async load(): Promise<ServedLoad> {
    return { ...this.model.load, rss: process.memoryUsage.rss() }
  }

  private logged({ token, logprob = 0, top_logprobs = [] }: Sampled): LoggedToken {
    return {
      ...this.textOf(token),
      logprob,
      top_logprobs: top_logprobs.map((other) => ({ ...this.textOf(other.token), logprob: other.logprob })),
    }
  }

  private textOf(token: number): TokenText {
    return { token, text: this.model.text.decode([token]), bytes: Array.from(this.model.text.bytesOf(token)) }
  }
}

function failing<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw asRequestError(error)
  }
}
