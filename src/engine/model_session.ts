import type { SamplingDefaults } from "../models/sampling_defaults.js"
import type { ChatFormat } from "../text/messages.js"
import { type TokenDecoder, type Tokenizer, TokenizerError } from "../text/tokenizer.js"
import { type ChatEvent, type ChatOptions, chat } from "./chat.js"
import type { ChatMessage } from "./chat_messages.js"
import { type GenerateOptions, generate, type SummaryResult, type TokenResult } from "./generate.js"
import type { StopTokens } from "./generation.js"
import type { Session } from "./session.js"

/** What the engine needs of a tokenizer. */
export type TextCodec = Pick<Tokenizer, "encode" | "decoder" | "idOf">

/** How a model reads, writes and ends its turn. */
export interface Speech {
  /** The model's name, for messages. */
  readonly name: string
  /** Missing where the folder has no tokenizer: such a model takes token ids alone. */
  readonly language?: { readonly text: TextCodec; readonly format: ChatFormat }
  /** Token ids that end a turn. */
  readonly stopTokens: StopTokens
  /** For what a caller leaves open. */
  readonly sampling?: SamplingDefaults
}

/**
 * One sequence's KV caches over the weights of a model, from `model.createSession()`. The next conversation runs only from
 * where it differs from the one before.
 *
 * Requests wait for each other in the order in which they are first asked for a result. One that is never iterated never
 * takes a turn; one that waits leaves the queue when its signal is aborted; one that runs holds its turn until it is over,
 * left (`break`, `return()`) or aborted, so who stops reading should leave.
 */
export class ModelSession {
  /** @internal */
  constructor(
    private readonly session: Session,
    private readonly speech: Speech,
  ) {}

  /**
   * Continues plain text, or token ids, without a chat template.
   *
   * @throws {ParameterError} when an option is out of range
   * @throws {ContextLengthError} when the prompt does not fit
   */
  generate(
    prompt: string | ArrayLike<number>,
    options?: GenerateOptions,
  ): AsyncGenerator<TokenResult | SummaryResult, void, undefined> {
    const tokens = typeof prompt === "string" ? languageOf(this.speech).text.encode(prompt) : prompt
    const text = this.speech.language?.text
    // A special token is no part of the text, so that one as a stop string must be found by its id.
    const named = [options?.stop ?? []].flat().flatMap((stop) => text?.idOf(stop) ?? [])
    const ends = new Set([...this.speech.stopTokens, ...named])
    return generate(this.session, tokens, text?.decoder() ?? NO_TEXT, ends, this.withDefaults(options))
  }

  /**
   * Answers a conversation: the pieces of the answer as they come and, last, the summary with the whole. Throws as `generate`,
   * and a {@link TokenizerError} where the tokenizer lacks the tokens that conversations are written with.
   */
  chat(messages: readonly ChatMessage[], options?: ChatOptions): AsyncGenerator<ChatEvent, void, undefined> {
    return chat(
      this.session,
      messages,
      languageOf(this.speech).format,
      this.speech.stopTokens,
      this.withDefaults(options),
    )
  }

  /** Frees the caches. The request that runs and those that wait reject. */
  close(): Promise<void> {
    return this.session.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  private withDefaults<T extends object>(options?: T): T {
    const said = Object.entries(options ?? {}).filter(([, value]) => value !== undefined)
    return { ...this.speech.sampling, ...Object.fromEntries(said) } as T
  }
}

/** @throws {TokenizerError} when the model came without a tokenizer */
export function languageOf({ name, language }: Speech): NonNullable<Speech["language"]> {
  if (language) return language
  throw new TokenizerError(`${name} has no tokenizer.json: add the model's, or pass token ids to generate`)
}

/** For models without a tokenizer. */
const NO_TEXT: TokenDecoder = { push: () => "", end: () => "" }
