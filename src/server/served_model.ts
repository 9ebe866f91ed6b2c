import type { CancelSignal } from "../backends/backend.js"
import type { ChatEvent, ChatOptions } from "../engine/chat.js"
import type { ChatMessage } from "../engine/chat_messages.js"
import type { ConversationParams } from "../engine/chat_request.js"
import type { GenerateOptions, SummaryResult } from "../engine/generate.js"
import type { ModelLoad } from "../engine/model.js"

/** A token as clients see it: its bytes may be a part of a character. */
export interface TokenText {
  readonly token: number
  /** U+FFFD stands for bytes that are no text alone. */
  readonly text: string
  readonly bytes: readonly number[]
}

export interface LoggedToken extends TokenText {
  readonly logprob: number
  readonly top_logprobs: readonly (TokenText & { readonly logprob: number })[]
}

/** What is known of a model that is served. */
export interface ServedModelInfo {
  /** As requests name it. */
  readonly name: string
  readonly model_type: string
  /** Where it runs: "webgpu", "cpu" or "reference". */
  readonly backend: string
  /** Bytes of the weights as stored. */
  readonly weight_bytes: number
  readonly layers: number
  readonly vocab_size: number
  /** Tokens of a conversation, prompt and answer together. */
  readonly max_context: number
  /** Whether it has a chat format; without one it continues plain text only. */
  readonly chats: boolean
}

/**
 * A piece of a turn. The first is "start", once the prompt is read; the last is "summary". With `logprobs`, "content" brings the tokens
 * that it consists of.
 */
export type TurnEvent =
  | Exclude<ChatEvent, { type: "token" } | { type: "content" }>
  | { readonly type: "content"; readonly text: string; readonly logprobs?: readonly LoggedToken[] }

/** A piece of a text that is continued. */
export type CompletionEvent =
  | { readonly type: "text"; readonly text: string; readonly logprobs?: readonly LoggedToken[] }
  | SummaryResult

export type TurnOptions = Omit<ChatOptions, "onProgress">
export type CompletionOptions = Omit<GenerateOptions, "onProgress">

/** How busy a model is, and the bytes of the process it runs in. */
export interface ServedLoad extends ModelLoad {
  readonly rss: number
}

/**
 * A model as the faces see it, wherever it runs: in this process or in one of its own. Whoever leaves an iteration early, or aborts its
 * signal, frees the sequence at once. What goes wrong is a {@link RequestError}.
 */
export interface ServedModel {
  readonly info: ServedModelInfo
  /** Answers a conversation: see `ModelSession.chat`. */
  chat(messages: readonly ChatMessage[], options: TurnOptions): AsyncIterable<TurnEvent>
  /** Continues text or token ids: see `ModelSession.generate`. */
  generate(prompt: string | readonly number[], options: CompletionOptions): AsyncIterable<CompletionEvent>
  /** The token ids that `chat` would begin from. */
  render(messages: readonly ChatMessage[], params: ConversationParams): Promise<number[]>
  /** @param special whether text that spells a special token is read as one */
  tokenize(text: string, special?: boolean): Promise<number[]>
  /** Special tokens as they are spelled. */
  detokenize(ids: readonly number[]): Promise<string>
  load(): Promise<ServedLoad>
}

/** A model that is held: it is not unloaded until it is released. */
export interface HeldModel {
  readonly model: ServedModel
  release(): void
}

/** A model on offer, loaded or not. */
export interface ModelCard {
  readonly name: string
  /** Seconds since 1970: when its files were last changed. */
  readonly created: number
  readonly bytes: number
  /** Such as `mxfp4`. */
  readonly quantization: string | null
  /** Tokens of a conversation. */
  readonly max_context: number
  readonly model_type: string
  readonly loaded: boolean
}

/** The models on offer, by name. */
export interface ModelDirectory {
  /** The first is what is meant where no model is named. */
  list(): Promise<readonly ModelCard[]>
  /**
   * Loads a model unless it is, and holds it.
   *
   * @param name undefined: the first
   * @throws {RequestError} `not_found` with the code `model_not_found`; `unavailable` where it does not fit the memory
   */
  hold(name: string | undefined, signal?: CancelSignal): Promise<HeldModel>
  /** How busy the loaded ones are, by name. Asking holds none of them, so that what is idle is unloaded all the same. */
  loads(): Promise<ReadonlyMap<string, ServedLoad>>
}
