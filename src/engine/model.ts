import { type ChatEvent, type ChatFormat, type ChatMessage, type ChatOptions, chat } from "./chat.js"
import { type GenerateOptions, generate, type SummaryResult, type TokenDecoder, type TokenResult } from "./generate.js"
import type { StopTokens } from "./generation.js"
import type { ModelRunner } from "./model_runner.js"
import { Session } from "./session.js"

/** What the engine needs of a tokenizer. */
export interface TextCodec {
  /** Plain text to token ids; text that spells a special token stays text. */
  encode(text: string): ArrayLike<number>
  /** A decoder for one stream of tokens. */
  decoder(): TokenDecoder
}

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
}

/** What a model is put together from; `loadModel` does it for a folder on disk. */
export interface ModelParts {
  readonly info: ModelInfo
  readonly runner: ModelRunner
  readonly text: TextCodec
  readonly format: ChatFormat
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
  readonly text: TextCodec
  readonly session: Session

  constructor(private readonly parts: ModelParts) {
    this.info = parts.info
    this.runner = parts.runner
    this.text = parts.text
    this.session = new Session(parts.runner)
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
    return generate(this.session, tokens, this.text.decoder(), this.parts.stopTokens, options)
  }

  /** Answers a conversation: the pieces of the answer as they come and, last, the summary with the whole. Throws as `generate`. */
  chat(messages: readonly ChatMessage[], options?: ChatOptions): AsyncGenerator<ChatEvent, void, undefined> {
    return chat(this.session, messages, this.parts.format, this.parts.stopTokens, options)
  }

  /** Frees memory and threads. */
  close(): Promise<void> {
    return this.parts.close()
  }
}
