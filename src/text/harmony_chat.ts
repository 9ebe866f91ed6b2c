import { type HarmonyHeader, HarmonyParser } from "./harmony_parser.js"
import {
  developerContent,
  type HarmonyMessage,
  harmonyTokens,
  renderConversation,
  type SystemSettings,
  systemContent,
} from "./harmony_render.js"
import type { ChatDelta, ChatFormat, ChatMessage, ChatParser, ConversationOptions } from "./messages.js"
import type { Tokenizer } from "./tokenizer.js"

/** What a harmony model is told of itself; the effort and the date are filled in where they are not set. */
export type HarmonySettings = Omit<SystemSettings, "reasoning_effort">

/** gpt-oss's identity and knowledge cutoff (openai/harmony, src/chat.rs, SystemContent::default). */
export const GPT_OSS_SETTINGS: HarmonySettings = {
  model_identity: "You are ChatGPT, a large language model trained by OpenAI.",
  knowledge_cutoff: "2024-06",
}

const FUNCTIONS = "functions."

/**
 * Conversations as gpt-oss speaks them.
 *
 * @param settings for the system message; `current_date` is today's unless given
 * @throws TokenizerError when the tokenizer lacks harmony's formatting tokens
 */
export function harmonyFormat(tokenizer: Tokenizer, settings: HarmonySettings = GPT_OSS_SETTINGS): ChatFormat {
  const tokens = harmonyTokens(tokenizer)
  return {
    render: (messages, options) => renderConversation(harmonyMessages(messages, options, settings), tokenizer, tokens),
    ends: new Set([tokens.return, tokens.call]),
    parser: () => new HarmonyChatParser(new HarmonyParser(tokenizer, tokens)),
  }
}

/** An OpenAI-style conversation as harmony messages. */
export function harmonyMessages(
  messages: readonly ChatMessage[],
  { instructions, reasoning_effort = "medium", tools = [] }: ConversationOptions,
  settings: HarmonySettings,
): HarmonyMessage[] {
  const current_date = settings.current_date ?? new Date().toISOString().slice(0, 10)
  const system = systemContent({ ...settings, current_date, reasoning_effort }, tools.length > 0)
  const given = messages.flatMap((message) =>
    message.role === "system" || message.role === "developer" ? [message.content] : [],
  )
  const developer = developerContent([instructions, ...given].filter(Boolean).join("\n\n"), tools)
  return [
    { role: "system", content: system },
    ...(developer ? [{ role: "developer", content: developer } as const] : []),
    ...messages.flatMap(harmonyMessage),
  ]
}

function harmonyMessage(message: ChatMessage): HarmonyMessage[] {
  switch (message.role) {
    case "system":
    case "developer":
      return []
    case "user":
      return [{ role: "user", content: message.content }]
    case "tool":
      return [
        {
          role: "tool",
          name: toolName(message.name),
          recipient: "assistant",
          channel: "commentary",
          content: message.content,
        },
      ]
    case "assistant": {
      const { reasoning, content, tool_calls = [] } = message
      const channel = tool_calls.length > 0 ? "commentary" : "final"
      const calls = tool_calls.map(({ name, arguments: args }) => ({
        role: "assistant" as const,
        recipient: toolName(name),
        channel: "commentary",
        content_type: "json",
        content: args,
      }))
      return [
        ...(reasoning ? [{ role: "assistant" as const, channel: "analysis", content: reasoning }] : []),
        ...(content || calls.length === 0 ? [{ role: "assistant" as const, channel, content }] : []),
        ...calls,
      ]
    }
  }
}

/** Functions live in a namespace; the builtin tools, which have a dot in their names, in their own. */
function toolName(name: string): string {
  return name.includes(".") || name === "python" ? name : `${FUNCTIONS}${name}`
}

/** Where a message's text goes. */
type Destination = "reasoning" | "content" | "tool" | "nowhere"

/** Recipients that are no tools: the message is for whoever reads along (openai/harmony writes `to=all`). */
const EVERYONE = ["assistant", "user", "all"]

function destination({ role, channel, recipient }: HarmonyHeader): Destination {
  // Words the model puts into somebody else's mouth are not its answer.
  if (role !== "assistant" && !role.startsWith("assistant:")) return "nowhere"
  if (recipient && !EVERYONE.includes(recipient)) return "tool"
  return channel === "analysis" ? "reasoning" : "content"
}

/** Sorts a turn's messages into reasoning, content and tool calls. */
class HarmonyChatParser implements ChatParser {
  private to: Destination = "nowhere"
  private call = { name: "", arguments: "" }

  constructor(private readonly parser: HarmonyParser) {}

  push(token: number): Iterable<ChatDelta> {
    return this.deltas(this.parser.push(token))
  }

  end(): Iterable<ChatDelta> {
    return this.deltas(this.parser.end())
  }

  private *deltas(events: ReturnType<HarmonyParser["push"]>): Generator<ChatDelta> {
    for (const event of events) {
      if (event.type === "start") {
        this.to = destination(event.header)
        this.call = { name: event.header.recipient?.replace(FUNCTIONS, "") ?? "", arguments: "" }
      } else if (event.type === "text") {
        if (this.to === "tool") this.call.arguments += event.text
        else if (this.to !== "nowhere") yield { type: this.to, text: event.text }
      } else if (event.type === "end" && this.to === "tool") {
        yield { type: "tool_call", ...this.call }
      }
    }
  }
}
