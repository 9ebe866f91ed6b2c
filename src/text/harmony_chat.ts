import type { HarmonyHeader } from "./harmony_header.js"
import { recipientOf } from "./harmony_names.js"
import { type HarmonyEvent, HarmonyParser } from "./harmony_parser.js"
import {
  developerContent,
  type HarmonyEffort,
  type HarmonyMessage,
  harmonyTokens,
  renderConversation,
  type SystemSettings,
  systemContent,
} from "./harmony_render.js"
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
 * @throws TokenizerError when the tokenizer lacks harmony's formatting tokens
 */
export function harmonyFormat(tokenizer: Tokenizer, settings: HarmonySettings = GPT_OSS_SETTINGS): ChatFormat {
  const tokens = harmonyTokens(tokenizer)
  /** What the prompt says of the turn after `<|start|>assistant`. */
  const opening = ({ reasoning_effort, tools = [] }: ConversationOptions): number[] =>
    reasoning_effort === "none" && tools.length === 0
      ? [tokens.channel, ...tokenizer.encode("final"), tokens.message]
      : []
  return {
    render: (messages, options) => [
      ...renderConversation(harmonyMessages(messages, options, settings), tokenizer, tokens),
      ...opening(options),
    ],
    ends: new Set([tokens.return, tokens.call]),
    parser: (options = {}) => {
      const parser = new HarmonyChatParser(new HarmonyParser(tokenizer, tokens, declaredNames(options)))
      for (const token of opening(options)) parser.push(token)
      return parser
    },
  }
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
  const { instructions, reasoning_effort = "medium", tools = [] } = options
  const current_date = settings.current_date ?? new Date().toISOString().slice(0, 10)
  const effort = EFFORTS[reasoning_effort]
  const system = systemContent({ ...settings, current_date, reasoning_effort: effort }, tools.length > 0)
  const given = messages.flatMap((message) =>
    message.role === "system" || message.role === "developer" ? [message.content] : [],
  )
  const developer = developerContent([instructions, ...given].filter(Boolean).join("\n\n"), tools)
  const declared = declaredNames(options)
  return [
    { role: "system", content: system },
    ...(developer ? [{ role: "developer", content: developer } as const] : []),
    ...messages.flatMap((message) => harmonyMessage(message, declared)),
  ]
}

function harmonyMessage(message: Message, declared: ReadonlySet<string>): HarmonyMessage[] {
  switch (message.role) {
    case "system":
    case "developer":
      return []
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
      const calls = tool_calls.map((call) => ({
        role,
        recipient: recipientOf(call.name, declared),
        channel: "commentary",
        content_type: "json",
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
  private body = ""

  constructor(private readonly parser: HarmonyParser) {}

  push(token: number): ChatDelta[] {
    return [...this.parser.push(token)].flatMap((event) => this.deltas(event))
  }

  end(): ChatDelta[] {
    return [...this.parser.end()].flatMap((event) => this.deltas(event))
  }

  private deltas(event: HarmonyEvent): ChatDelta[] {
    switch (event.type) {
      case "start":
        this.header = event.header
        this.body = ""
        return this.text(event.header.text)
      case "text":
        if (this.header?.tool) this.body += event.text
        return this.text(event.text)
      case "end": {
        const { header, body } = this
        if (!header || destination(header) !== "tool") return []
        return [{ type: "tool_call", name: header.tool!, arguments: callArguments(header.text, body) }]
      }
      case "turn_end":
        return []
    }
  }

  private text(text: string): ChatDelta[] {
    const type = destination(this.header!)
    return text !== "" && (type === "reasoning" || type === "content") ? [{ type, text }] : []
  }
}

/**
 * The arguments of a call: its text as the model wrote it, unless only what stood in the header, or both together, or the text
 * without a content type before it is JSON.
 */
function callArguments(inHeader: string, body: string): string {
  const texts = [body, inHeader + body, inHeader]
  const bare = texts.map((text) => text.replace(/^\s*(json|code)\s*(?=[{[])/i, ""))
  return [...texts, ...bare].find(isJson) ?? inHeader + body
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
