import { LRUCache } from "lru-cache"
import { CallArguments } from "./call_arguments.js"
import type { GrammarCompiler } from "./grammar.js"
import { HarmonyConstraints } from "./harmony_constraint.js"
import type { HarmonyHeader } from "./harmony_header.js"
import { recipientOf } from "./harmony_names.js"
import { type HarmonyEvent, HarmonyParser } from "./harmony_parser.js"
import {
  developerContent,
  type HarmonyEffort,
  type HarmonyMessage,
  harmonyTokens,
  renderConversation,
  renderMessage,
  type SystemSettings,
  systemContent,
} from "./harmony_render.js"
import { WrittenTurns } from "./harmony_written.js"
import type { ChatDelta, ChatFormat, ChatParser, ConversationOptions, Message, ReasoningEffort } from "./messages.js"
import type { Tokenizer } from "./tokenizer.js"

/** What a harmony model is told of itself; the effort and the date are filled in where they are not set. */
export type HarmonySettings = Omit<SystemSettings, "reasoning_effort">

/** gpt-oss's identity and knowledge cutoff (openai/harmony, src/chat.rs, SystemContent::default). */
export const GPT_OSS_SETTINGS: HarmonySettings = {
  model_identity: "You are ChatGPT, a large language model trained by OpenAI.",
  knowledge_cutoff: "2024-06",
}

/** Harmony knows three efforts. */
const EFFORTS: Record<ReasoningEffort, HarmonyEffort> = {
  none: "low",
  minimal: "low",
  low: "low",
  medium: "medium",
  high: "high",
  xhigh: "high",
}

/**
 * Conversations as gpt-oss speaks them. `reasoning_effort: "none"` opens the final message for the model, which then cannot
 * think; with tools on offer it must stay free to call one, and the effort is low.
 *
 * @param settings for the system message; `current_date` is today's unless given
 * @param compiler without one a turn cannot be held to a schema
 * @throws TokenizerError when the tokenizer lacks harmony's formatting tokens
 */
export function harmonyFormat(
  tokenizer: Tokenizer,
  settings: HarmonySettings = GPT_OSS_SETTINGS,
  compiler?: GrammarCompiler,
): ChatFormat {
  const tokens = harmonyTokens(tokenizer)
  const constraints = new HarmonyConstraints(tokenizer, tokens, compiler)
  const turns = new WrittenTurns()
  const texts = rememberedTexts(tokenizer)
  /** What the prompt says of the turn after `<|start|>assistant`. */
  const opening = ({ reasoning_effort, tools = [] }: ConversationOptions): number[] =>
    reasoning_effort === "none" && tools.length === 0
      ? [tokens.channel, ...tokenizer.encode("final"), tokens.message]
      : []
  const opened = (options: ConversationOptions) => [tokens.start, ...tokenizer.encode("assistant"), ...opening(options)]
  return {
    render: (messages, options) => {
      const whole = messages.map((message) => turns.asCalled(message))
      const asWritten = (turn: readonly number[]) => turns.asWritten(turn)
      return [
        ...renderConversation(harmonyMessages(whole, options, settings), texts, tokens, asWritten),
        ...opening(options),
      ]
    },
    remember: (message, options, written) => {
      turns.rememberCalls(message)
      const rendered = harmonyMessage(message, options).flatMap((each) => renderMessage(each, texts, tokens))
      turns.remember(rendered, [
        ...opened(options),
        ...written.map((token) => (token === tokens.return ? tokens.end : token)),
      ])
    },
    ends: new Set([tokens.return, tokens.call]),
    constraint: (options, vocab_size) => constraints.maskOf(options, vocab_size, opened(options)),
    parser: (options = {}) => {
      const parser = new HarmonyChatParser(
        new HarmonyParser(tokenizer, tokens, declaredNames(options)),
        freeformNames(options),
      )
      for (const token of opening(options)) Array.from(parser.push(token))
      return parser
    },
  }
}

/** Characters of texts whose tokens are remembered: conversations come again with every turn, and grow. */
const MOST_CHARACTERS = 2 ** 23

function rememberedTexts(tokenizer: Tokenizer): Pick<Tokenizer, "encode"> {
  const known = new LRUCache<string, number[]>({
    maxSize: MOST_CHARACTERS,
    sizeCalculation: (_, text) => Math.max(1, text.length),
  })
  return {
    encode: (text) => {
      const ids = known.get(text) ?? tokenizer.encode(text)
      known.set(text, ids)
      return ids
    },
  }
}

function freeformNames({ tools = [] }: ConversationOptions): ReadonlySet<string> {
  return new Set(tools.flatMap(({ name, freeform }) => (freeform ? [name] : [])))
}

function declaredNames({ tools = [] }: ConversationOptions): ReadonlySet<string> {
  return new Set(tools.map(({ name }) => name))
}

/** A conversation as harmony messages. */
export function harmonyMessages(
  messages: readonly Message[],
  options: ConversationOptions,
  settings: HarmonySettings,
): HarmonyMessage[] {
  const { instructions, reasoning_effort = "medium", tools = [], response_format } = options
  const current_date = settings.current_date ?? new Date().toISOString().slice(0, 10)
  const effort = EFFORTS[reasoning_effort]
  const told = tools.filter(({ deferred }) => !deferred)
  const system = systemContent({ ...settings, current_date, reasoning_effort: effort }, told.length > 0)
  const isInstruction = ({ role }: Message) => role === "system" || role === "developer"
  const end = messages.findIndex((message) => !isInstruction(message))
  const first = messages.slice(0, end === -1 ? messages.length : end)
  const given = first.map(({ content }) => content)
  const developer = developerContent([instructions, ...given].filter(Boolean).join("\n\n"), told, response_format)
  return [
    { role: "system", content: system },
    ...(developer ? [{ role: "developer", content: developer } as const] : []),
    ...messages.slice(first.length).flatMap((message) => harmonyMessage(message, options)),
  ]
}

function harmonyMessage(message: Message, options: ConversationOptions): HarmonyMessage[] {
  const declared = declaredNames(options)
  switch (message.role) {
    case "system":
    case "developer":
      // What comes later stays where it is: above, it would change the prompt's beginning, whose pages are there already.
      return [{ role: "developer", content: developerContent(message.content, []) }]
    case "user":
      return [{ role: "user", name: message.name, content: message.content }]
    case "tool":
      return [
        {
          role: "tool",
          name: recipientOf(message.name, declared),
          recipient: "assistant",
          channel: "commentary",
          content: message.content,
        },
      ]
    case "assistant": {
      const { role, reasoning, content, tool_calls = [] } = message
      const channel = tool_calls.length > 0 ? "commentary" : "final"
      const freeform = freeformNames(options)
      const calls = tool_calls.map((call) => ({
        role,
        recipient: recipientOf(call.name, declared),
        channel: "commentary",
        ...(!freeform.has(call.name) && { content_type: "json" }),
        content: call.arguments,
      }))
      return [
        ...(reasoning ? [{ role, channel: "analysis", content: reasoning }] : []),
        ...(content || calls.length === 0 ? [{ role, channel, content }] : []),
        ...calls,
      ]
    }
  }
}

/** Where a message's text goes. Words the model puts into somebody else's mouth are not its answer. */
function destination({ role, channel, tool }: HarmonyHeader): "reasoning" | "content" | "tool" | "nowhere" {
  if (role !== "assistant") return "nowhere"
  if (tool !== null) return "tool"
  return channel === "analysis" ? "reasoning" : "content"
}

/** Sorts a turn's messages into reasoning, content and tool calls. */
class HarmonyChatParser implements ChatParser {
  private header: HarmonyHeader | undefined
  private call: { readonly name: string; readonly arguments: CallArguments; text: string } | null = null

  /** @param freeform the tools whose arguments are no JSON */
  constructor(
    private readonly parser: HarmonyParser,
    private readonly freeform: ReadonlySet<string>,
  ) {}

  *push(token: number): Generator<ChatDelta> {
    for (const event of this.parser.push(token)) yield* this.deltas(event)
  }

  *end(): Generator<ChatDelta> {
    for (const event of this.parser.end()) yield* this.deltas(event)
  }

  private *deltas(event: HarmonyEvent): Generator<ChatDelta> {
    if (event.type === "start") yield* this.start(event.header)
    else if (event.type === "text") yield* this.text(event.text)
    else if (event.type === "end") yield* this.finish()
  }

  private *start(header: HarmonyHeader): Generator<ChatDelta> {
    this.header = header
    if (destination(header) !== "tool") return yield* this.text(header.text)
    const name = header.tool!
    this.call = { name, arguments: new CallArguments(header.text, this.freeform.has(name)), text: "" }
    yield { type: "tool_call_start", name }
  }

  private *text(text: string): Generator<ChatDelta> {
    if (this.call) return yield* this.argue(this.call.arguments.push(text))
    const type = destination(this.header!)
    if (text !== "" && (type === "reasoning" || type === "content")) yield { type, text }
  }

  private *argue(text: string): Generator<ChatDelta> {
    if (text === "") return
    this.call!.text += text
    yield { type: "tool_arguments", text }
  }

  private *finish(): Generator<ChatDelta> {
    if (!this.call) return
    yield* this.argue(this.call.arguments.end())
    yield { type: "tool_call", name: this.call.name, arguments: this.call.text }
    this.call = null
  }
}
