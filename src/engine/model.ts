import type { ChatFormat } from "../text/messages.js"
import type { TokenDecoder, Tokenizer } from "../text/tokenizer.js"
import { type ChatEvent, type ChatOptions, chat } from "./chat.js"
import type { ChatMessage } from "./chat_messages.js"
import { type GenerateOptions, generate, type SummaryResult, type TokenResult } from "./generate.js"
import type { StopTokens } from "./generation.js"
import type { ModelRunner } from "./model_runner.js"
import { Session } from "./session.js"
import type { CausalLM } from "./step.js"

/** What the engine needs of a tokenizer. */
export type TextCodec = Pick<Tokenizer, "encode" | "decoder">

/** What is known of a loaded model. */
export interface ModelInfo {
  /** The folder's name. */
  readonly name: string
  readonly model_type: string
  /** Where it runs: "cpu", "reference". */
  readonly backend: string
  /** From the call to the weights being resident. */
  readonly load_ms: number
  /** Bytes of weights as stored. */
  readonly weight_bytes: number
  /** Bytes of weights that decoding one token reads. */
  readonly weight_bytes_per_token: number
  /** Bytes of the KV caches that decoding the last of `context` tokens reads. */
  cache_bytes_per_token(context: number): number
  readonly layers: number
}

/** What a model is put together from; `loadModel` does it for a folder on disk. */
export interface ModelParts {
  readonly info: ModelInfo
  readonly runner: ModelRunner
  /** The network that the runner runs, for further runners over the same weights. */
  readonly network: CausalLM
  /** Missing where the folder has no tokenizer: such a model takes token ids alone. */
  readonly language?: { readonly text: TextCodec; readonly format: ChatFormat }
  /** Token ids that end a turn. */
  readonly stopTokens: StopTokens
  close(): Promise<void>
}

/**
 * A loaded model with one conversation in its caches. One generation at a time.
 *
 *     const model = await loadModel("models/minerva-tiny")
 *     for await (const event of model.chat([{ role: "user", content: "What is 17 + 25?" }])) {
 *       if (event.type === "content") process.stdout.write(event.text)
 *     }
 *     await model.close()
 */
export class LanguageModel {
  readonly info: ModelInfo
  readonly runner: ModelRunner
  readonly network: CausalLM
  readonly session: Session

  constructor(private readonly parts: ModelParts) {
    this.info = parts.info
    this.runner = parts.runner
    this.network = parts.network
    this.session = new Session(parts.runner)
  }

  /** The tokenizer. @throws {Error} when the model came without one */
  get text(): TextCodec {
    return this.language.text
  }

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
    const tokens = typeof prompt === "string" ? this.text.encode(prompt) : prompt
    const decoder = this.parts.language?.text.decoder() ?? NO_TEXT
    return generate(this.session, tokens, decoder, this.parts.stopTokens, options)
  }

  /** Answers a conversation: the pieces of the answer as they come and, last, the summary with the whole. Throws as `generate`. */
  chat(messages: readonly ChatMessage[], options?: ChatOptions): AsyncGenerator<ChatEvent, void, undefined> {
    return chat(this.session, messages, this.language.format, this.parts.stopTokens, options)
  }

  /** Frees memory and threads. */
  close(): Promise<void> {
    return this.parts.close()
  }

  private get language(): { readonly text: TextCodec; readonly format: ChatFormat } {
    if (this.parts.language) return this.parts.language
    throw new Error(`${this.info.name} has no tokenizer.json: add the model's, or pass token ids`)
  }
}

/** For models without a tokenizer. */
const NO_TEXT: TokenDecoder = { push: () => "", end: () => "" }
