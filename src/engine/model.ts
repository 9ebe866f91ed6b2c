import type { SamplingDefaults } from "../models/sampling_defaults.js"
import type { ChatEvent, ChatOptions } from "./chat.js"
import type { ChatMessage } from "./chat_messages.js"
import { ParameterError } from "./errors.js"
import type { GenerateOptions, SummaryResult, TokenResult } from "./generate.js"
import { givenOptions, type KnownOptions } from "./given_options.js"
import type { ModelRunner } from "./model_runner.js"
import { languageOf, ModelSession, type Speech, type TextCodec } from "./model_session.js"
import { type Perplexity, type PerplexityOptions, perplexity } from "./perplexity.js"
import { Session } from "./session.js"
import type { CausalLM } from "./step.js"
import { tokensOf } from "./token_ids.js"

/** What is known of a loaded model. */
export interface ModelInfo {
  /** The folder's name; for a model of the Hugging Face cache the repository's, such as `openai/gpt-oss-20b`. */
  readonly name: string
  readonly model_type: string
  /** Where it runs: "webgpu", "cpu" or "reference". */
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
  /** Tokens that a session holds at most, prompt and answer together. */
  readonly max_context: number
}

export interface SessionOptions {
  /** Longest conversation in tokens, prompt and answer; at most the model's `info.max_context`, which is the default. */
  readonly max_context?: number
}

const SESSION_OPTIONS: KnownOptions<SessionOptions> = { max_context: true }

const PERPLEXITY_OPTIONS: KnownOptions<PerplexityOptions> = { window: true, onProgress: true, signal: true }

/**
 * What a model is put together from; `loadModel` does it for a folder on disk.
 *
 * @internal
 */
export interface ModelParts {
  readonly info: ModelInfo
  readonly runner: ModelRunner
  /** The network that the runner runs, for further runners over the same weights. */
  readonly network: CausalLM
  readonly speech: Speech
  /**
   * A runner with caches of its own.
   *
   * @param open the contexts of those that are open already, the model's own left out
   * @throws {MemoryLimitError} when there is no room for another one
   */
  openRunner(max_context: number, open: readonly number[]): ModelRunner
  close(): Promise<void>
}

/**
 * A loaded model with a session of its own, which `chat` and `generate` use: they wait for each other. For conversations side
 * by side there is `createSession`.
 *
 *     const model = await loadModel("models/minerva-tiny")
 *     for await (const event of model.chat([{ role: "user", content: "What is 17 + 25?" }])) {
 *       if (event.type === "content") process.stdout.write(event.text)
 *     }
 *     await model.close()
 */
export class LanguageModel {
  readonly info: ModelInfo
  private readonly own: ModelSession
  private readonly session: Session
  private readonly others = new Set<Session>()

  /** @internal */
  constructor(private readonly parts: ModelParts) {
    this.info = parts.info
    this.session = new Session(parts.runner)
    this.own = new ModelSession(this.session, parts.speech)
  }

  /** @internal */
  get runner(): ModelRunner {
    return this.parts.runner
  }

  /** @internal */
  get network(): CausalLM {
    return this.parts.network
  }

  /** What generation_config.json says of sampling: the defaults of `generate` and `chat`. */
  get sampling(): SamplingDefaults {
    return this.parts.speech.sampling ?? {}
  }

  /** The tokenizer. @throws {TokenizerError} when the model came without one */
  get text(): TextCodec {
    return languageOf(this.parts.speech).text
  }

  /** As {@link ModelSession.generate}, in the model's own session. */
  generate(
    prompt: string | ArrayLike<number>,
    options?: GenerateOptions,
  ): AsyncGenerator<TokenResult | SummaryResult, void, undefined> {
    return this.own.generate(prompt, options)
  }

  /** As {@link ModelSession.chat}, in the model's own session. */
  chat(messages: readonly ChatMessage[], options?: ChatOptions): AsyncGenerator<ChatEvent, void, undefined> {
    return this.own.chat(messages, options)
  }

  /** How well the model predicts a text, or token ids. Takes a turn in the model's own session and empties its caches. */
  async perplexity(text: string | ArrayLike<number>, options?: PerplexityOptions): Promise<Perplexity> {
    const given = givenOptions(options, PERPLEXITY_OPTIONS)
    return perplexity(
      this.session,
      tokensOf("text", text, () => this.text),
      given,
    )
  }

  /**
   * Opens another session: KV caches and intermediate values of its own over the same weights, on the same device, taken as
   * they are needed. Sessions do not wait for each other, but share the device's time. Close it when done; closing the model
   * closes all.
   *
   * @throws {ParameterError} when `max_context` is out of range
   * @throws {MemoryLimitError} when it would not fit the `memory_limit` that the model was loaded with
   */
  createSession(options?: SessionOptions): ModelSession {
    const { max_context = this.info.max_context } = givenOptions(options, SESSION_OPTIONS)
    if (this.session.isClosed) throw new Error("the model is closed: load it again")
    const most = this.info.max_context
    if (!(Number.isInteger(max_context) && max_context >= 2 && max_context <= most)) {
      throw new ParameterError("max_context", `a whole number from 2 to ${most}`, max_context)
    }
    for (const session of this.others) if (session.isClosed) this.others.delete(session)
    const contexts = [...this.others].map(({ runner }) => runner.max_context)
    const session = new Session(this.parts.openRunner(max_context, contexts))
    this.others.add(session)
    return new ModelSession(session, this.parts.speech)
  }

  /** Frees memory and threads, and closes all sessions. */
  async close(): Promise<void> {
    await Promise.all([this.session, ...this.others].map((session) => session.close()))
    await this.parts.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
