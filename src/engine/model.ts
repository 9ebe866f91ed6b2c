import type { KvStore } from "../cache/kv_store.js"
import type { SamplingDefaults } from "../models/sampling_defaults.js"
import type { ChatEvent, ChatOptions } from "./chat.js"
import type { ChatMessage } from "./chat_messages.js"
import type { ConversationParams } from "./chat_request.js"
import { ParameterError } from "./errors.js"
import type { GenerateOptions, SummaryResult, TokenResult } from "./generate.js"
import { givenOptions, type KnownOptions } from "./given_options.js"
import type { MemoryPlan } from "./memory_plan.js"
import { languageOf, ModelSession, type Speech, type TextCodec } from "./model_session.js"
import { type Perplexity, type PerplexityOptions, perplexity } from "./perplexity.js"
import type { Scheduler } from "./scheduler.js"
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
  /** Ids that the model knows: `[0, vocab_size)`. */
  readonly vocab_size: number
  /** Whether it has a chat format; without one it continues plain text only. */
  readonly chats: boolean
  /** Tokens that a conversation holds at most, prompt and answer together. */
  readonly max_context: number
}

/** How busy a model is. */
export interface ModelLoad {
  /** Requests that run, and that wait. */
  readonly running: number
  readonly waiting: number
  /** Pages of the pool for keys and values, and those that no running request holds. */
  readonly pages: number
  readonly free_pages: number
  /** Since the model was loaded: tokens of all prompts, and those of them that were there already. */
  readonly asked_tokens: number
  readonly hit_tokens: number
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
  readonly scheduler: Scheduler
  readonly store: KvStore
  /** The network that the scheduler runs. */
  readonly network: CausalLM
  readonly speech: Speech
  /** What it takes, where that was counted: with a bound on memory. */
  readonly plan?: MemoryPlan
  close(): Promise<void>
}

/**
 * A loaded model. Requests run side by side: see {@link ModelSession}.
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

  /** @internal */
  constructor(private readonly parts: ModelParts) {
    this.info = parts.info
    this.own = this.createSession()
  }

  /** @internal */
  get scheduler(): Scheduler {
    return this.parts.scheduler
  }

  /** @internal */
  get store(): KvStore {
    return this.parts.store
  }

  /** @internal */
  get network(): CausalLM {
    return this.parts.network
  }

  /** @internal */
  get plan(): MemoryPlan | undefined {
    return this.parts.plan
  }

  /** What generation_config.json says of sampling: the defaults of `generate` and `chat`. */
  get sampling(): SamplingDefaults {
    return this.parts.speech.sampling ?? {}
  }

  /** The tokenizer. @throws {TokenizerError} when the model came without one */
  get text(): TextCodec {
    return languageOf(this.parts.speech).text
  }

  /** See {@link ModelSession.generate}. */
  generate(
    prompt: string | ArrayLike<number>,
    options?: GenerateOptions,
  ): AsyncGenerator<TokenResult | SummaryResult, void, undefined> {
    return this.own.generate(prompt, options)
  }

  /** See {@link ModelSession.chat}. */
  chat(messages: readonly ChatMessage[], options?: ChatOptions): AsyncGenerator<ChatEvent, void, undefined> {
    return this.own.chat(messages, options)
  }

  /** See {@link ModelSession.render}. */
  render(messages: readonly ChatMessage[], params?: ConversationParams): ArrayLike<number> {
    return this.own.render(messages, params)
  }

  /** How busy it is, and what its pool of pages holds. */
  get load(): ModelLoad {
    const { pages, used, asked_tokens, hit_tokens } = this.parts.store.stats()
    return { ...this.parts.scheduler.load, pages, free_pages: pages - used, asked_tokens, hit_tokens }
  }

  /** How well the model predicts a text, or token ids. */
  async perplexity(text: string | ArrayLike<number>, options?: PerplexityOptions): Promise<Perplexity> {
    const given = givenOptions(options, PERPLEXITY_OPTIONS)
    return perplexity(
      this.parts.scheduler,
      tokensOf("text", text, () => this.text),
      given,
    )
  }

  /**
   * Requests that can be ended together, without those of others: see {@link ModelSession.close}. Closing the model closes all.
   *
   * @throws {ParameterError} when `max_context` is out of range
   */
  createSession(options?: SessionOptions): ModelSession {
    const most = this.info.max_context
    const { max_context = most } = givenOptions(options, SESSION_OPTIONS)
    if (!(Number.isInteger(max_context) && max_context >= 2 && max_context <= most)) {
      throw new ParameterError("max_context", `a whole number from 2 to ${most}`, max_context)
    }
    return new ModelSession(new Session(this.parts.scheduler, max_context), this.parts.speech)
  }

  /** Frees memory and threads. Requests that run or wait reject. */
  async close(): Promise<void> {
    await this.parts.scheduler.close()
    await this.parts.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
