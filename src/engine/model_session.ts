import type { SamplingDefaults } from "../models/sampling_defaults.js"
import type { ChatFormat } from "../text/messages.js"
import type { TokenDecoder, Tokenizer } from "../text/tokenizer.js"
import { TokenizerError } from "../text/tokenizer_error.js"
import { type ChatEvent, type ChatOptions, chat } from "./chat.js"
import type { ChatMessage } from "./chat_messages.js"
import { type ConversationParams, parseConversation } from "./chat_request.js"
import { type GenerateOptions, generate, type SummaryResult, type TokenResult } from "./generate.js"
import type { StopTokens } from "./generation.js"
import { givenOptions, type KnownOptions } from "./given_options.js"
import type { Session } from "./session.js"
import { tokensOf } from "./token_ids.js"

/** What the engine needs of a tokenizer. */
export type TextCodec = Pick<
  Tokenizer,
  "encode" | "encodeSpecial" | "decoder" | "decode" | "idOf" | "isSpecial" | "bytesOf" | "vocab_size"
>

const GENERATE_OPTIONS: KnownOptions<GenerateOptions> = {
  max_tokens: true,
  stop: true,
  temperature: true,
  top_k: true,
  top_p: true,
  min_p: true,
  repetition_penalty: true,
  repetition_context_size: true,
  frequency_penalty: true,
  presence_penalty: true,
  logit_bias: true,
  seed: true,
  logprobs: true,
  top_logprobs: true,
  signal: true,
  priority: true,
  onProgress: true,
}

const CHAT_OPTIONS: KnownOptions<ChatOptions> = {
  instructions: true,
  reasoning_effort: true,
  tools: true,
  tool_choice: true,
  response_format: true,
  ...GENERATE_OPTIONS,
}

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
 * Conversations that end together, from `model.createSession()`. Each request is a sequence of the model's scheduler: requests run
 * side by side, share what their beginnings have in common, and one that is left (`break`, `return()`) or aborted is gone at once.
 */
export class ModelSession {
  /** @internal */
  constructor(
    private readonly session: Session,
    private readonly speech: Speech,
  ) {}

  /**
   * Continues plain text, or token ids, without a chat template. All errors come with the first result that is asked for.
   *
   * @throws {ParameterError} when the prompt or an option is not what it should be, or an option is not known
   * @throws {ContextLengthError} when the prompt does not fit
   */
  async *generate(
    prompt: string | ArrayLike<number>,
    options?: GenerateOptions,
  ): AsyncGenerator<TokenResult | SummaryResult, void, undefined> {
    const given = { ...this.speech.sampling, ...givenOptions(options, GENERATE_OPTIONS) }
    const tokens = tokensOf("prompt", prompt, () => languageOf(this.speech).text)
    // Without a tokenizer there is no text that could be searched.
    const text = given.stop === undefined ? this.speech.language?.text : languageOf(this.speech).text
    // A special token is no part of the text, so that one as a stop string must be found by its id.
    const named = [given.stop ?? []].flat().flatMap((stop) => text?.idOf(stop) ?? [])
    const ends = new Set([...this.speech.stopTokens, ...named])
    yield* generate(this.session, tokens, text?.decoder() ?? NO_TEXT, ends, given)
  }

  /**
   * Answers a conversation: the pieces of the answer as they come and, last, the summary with the whole. Throws as `generate`,
   * and a {@link TokenizerError} where the tokenizer lacks the tokens that conversations are written with.
   */
  async *chat(messages: readonly ChatMessage[], options?: ChatOptions): AsyncGenerator<ChatEvent, void, undefined> {
    const given = { ...this.speech.sampling, ...givenOptions(options, CHAT_OPTIONS) }
    yield* chat(this.session, messages, languageOf(this.speech).format, this.speech.stopTokens, given)
  }

  /**
   * The token ids that `chat` would begin from.
   *
   * @throws {ParameterError} when a message or a tool is not what it should be
   */
  render(messages: readonly ChatMessage[], params: ConversationParams = {}): ArrayLike<number> {
    const conversation = parseConversation(messages, params)
    return languageOf(this.speech).format.render(conversation.messages, conversation.options)
  }

  /** Ends its requests with an error. */
  close(): void {
    this.session.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** @throws {TokenizerError} when the model came without a tokenizer */
export function languageOf({ name, language }: Speech): NonNullable<Speech["language"]> {
  if (language) return language
  throw new TokenizerError(`${name} has no tokenizer.json: add the model's, or pass token ids to generate`)
}

/** For models without a tokenizer. */
const NO_TEXT: TokenDecoder = { push: () => "", end: () => "" }
