/** A call the model asks for; `arguments` is JSON as the model wrote it. */
export interface ToolCall {
  readonly name: string
  readonly arguments: string
  /** As callers refer to it. */
  readonly id?: string
}

/** What the model may call. */
export interface Tool {
  readonly name: string
  readonly description?: string
  /** JSON Schema of an object. */
  readonly parameters?: Readonly<Record<string, unknown>>
  /** Whether the arguments are held to `parameters`, where the turn is constrained. */
  readonly strict?: boolean
  /** Takes any text instead of JSON: OpenAI's custom tools. */
  readonly freeform?: boolean
  /** A message tells of it where it becomes available: it may be called, and the conversation's beginning is as without it. */
  readonly deferred?: boolean
}

/** Which tools the model may call, and whether it has to: `names` are those allowed. */
export type ToolChoice =
  | "none"
  | "auto"
  | "required"
  | { readonly names: readonly string[]; readonly required: boolean }

/** What the answer has to be. */
export type ResponseFormat =
  | { readonly type: "text" }
  | { readonly type: "json_object" }
  | {
      readonly type: "json_schema"
      readonly name: string
      readonly description?: string
      readonly schema: Readonly<Record<string, unknown>>
    }

/** The tokens that a grammar, or another rule, allows. */
export interface TokenMask {
  /** `[ceil(vocab_size / 32)]`: bit `id % 32` of word `id / 32` is set where the token may come next. Read before the next `accept`. */
  allowed(): Uint32Array
  /** Where given, the mask stays what it is until one of these is accepted: the tokens before may be drawn ahead. */
  readonly steadyUntil?: ReadonlySet<number> | null
  accept(token: number): void
  /** Frees what it holds. */
  close?(): void
}

/** What an assistant's turn consists of. */
export interface AssistantMessage {
  readonly role: "assistant"
  readonly content: string
  /** The model's analysis. Rendered again only while a tool call of the same turn is open. */
  readonly reasoning?: string
  readonly tool_calls?: readonly ToolCall[]
}

/** A message as chat formats take it; callers may spell it in more ways (engine/chat_request.ts). */
export type Message =
  /** Instructions, both alike: before all others they are joined in one developer message, later each is one of its own. */
  | { readonly role: "system" | "developer"; readonly content: string }
  /** `name` tells several users apart. */
  | { readonly role: "user"; readonly content: string; readonly name?: string }
  | AssistantMessage
  /** The result of a call; `name` is the tool's. */
  | { readonly role: "tool"; readonly name: string; readonly content: string }

export const REASONING_EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh"] as const

/** How long the model may think, on OpenAI's scale; each chat format says what it makes of it. */
export type ReasoningEffort = (typeof REASONING_EFFORTS)[number]

/** What is rendered beside the messages. */
export interface ConversationOptions {
  /** The developer's instructions. */
  readonly instructions?: string
  readonly reasoning_effort?: ReasoningEffort
  readonly tools?: readonly Tool[]
  readonly tool_choice?: ToolChoice
  readonly response_format?: ResponseFormat
}

/** A piece of the answer. */
export type ChatDelta =
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "content"; readonly text: string }
  /** A call begins; its arguments follow in pieces, and then the call as a whole. */
  | { readonly type: "tool_call_start"; readonly name: string }
  | { readonly type: "tool_arguments"; readonly text: string }
  /** Once the model has written it to its end, or was cut off in it: all of its pieces joined. */
  | ({ readonly type: "tool_call" } & ToolCall)

/** How a family of models writes conversations. */
export interface ChatFormat {
  /** Token ids of the conversation and of the beginning of the assistant's turn. */
  render(messages: readonly Message[], options: ConversationOptions): ArrayLike<number>
  /**
   * Notes how the model wrote a turn that is over, so that `render` gives it the same ids when it comes back in a conversation.
   *
   * @param written its token ids, the end included
   */
  remember?(message: AssistantMessage, options: ConversationOptions, written: readonly number[]): void
  /** Token ids that end a turn in this format; other ends of a generation mean nothing to its parser. */
  readonly ends: ReadonlySet<number>
  /**
   * What holds a turn to its framing, its tools and its response format; undefined where there is nothing to hold.
   *
   * @param vocab_size the model's
   * @throws {GrammarError} naming what cannot be enforced
   */
  constraint?(options: ConversationOptions, vocab_size: number): Promise<TokenMask | undefined>
  /** A parser for the assistant's turn that follows a conversation rendered with these options. */
  parser(options?: ConversationOptions): ChatParser
}

/** Turns tokens into what they say, whatever the model writes: malformed output gives content, never an error. */
export interface ChatParser {
  push(token: number): Iterable<ChatDelta>
  end(): Iterable<ChatDelta>
}
