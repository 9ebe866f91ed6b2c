import { toolsSection } from "./harmony_tools.js"
import type { ResponseFormat, Tool } from "./messages.js"
import type { Tokenizer } from "./tokenizer.js"
import { TokenizerError } from "./tokenizer_error.js"

/** One message of a harmony conversation. */
export interface HarmonyMessage {
  readonly role: "system" | "developer" | "user" | "assistant" | "tool"
  /** The author's name; a tool's full name (`functions.get_weather`) stands in place of its role. */
  readonly name?: string
  readonly recipient?: string
  readonly channel?: string
  /** `json` is written `<|constrain|>json`. */
  readonly content_type?: string
  readonly content: string
}

/** The ids of harmony's formatting tokens, read from the tokenizer. */
export interface HarmonyTokens {
  readonly start: number
  readonly message: number
  readonly channel: number
  readonly constrain: number
  readonly end: number
  readonly return: number
  readonly call: number
}

const NAMES = ["start", "message", "channel", "constrain", "end", "return", "call"] as const

function missingTokens(tokenizer: Tokenizer): string[] {
  return NAMES.map((name) => `<|${name}|>`).filter((name) => tokenizer.idOf(name) === undefined)
}

/** Whether a tokenizer has all of harmony's formatting tokens. */
export function speaksHarmony(tokenizer: Tokenizer): boolean {
  return missingTokens(tokenizer).length === 0
}

/** @throws TokenizerError naming those that the tokenizer lacks */
export function harmonyTokens(tokenizer: Tokenizer): HarmonyTokens {
  const missing = missingTokens(tokenizer)
  if (missing.length > 0) {
    throw new TokenizerError(
      `tokenizer.json, field "added_tokens": no ${missing.join(", ")}; this model does not speak harmony and cannot chat. ` +
        "Take tokenizer.json from a gpt-oss model, or continue plain text (generate; on the command line, --raw)",
    )
  }
  const entries = NAMES.map((name) => [name, tokenizer.specialToken(`<|${name}|>`)])
  return Object.fromEntries(entries) as unknown as HarmonyTokens
}

export type HarmonyEffort = "low" | "medium" | "high"

/** What the system message says. */
export interface SystemSettings {
  readonly model_identity?: string
  /** `2024-06` */
  readonly knowledge_cutoff?: string
  /** `2026-11-23` */
  readonly current_date?: string
  readonly reasoning_effort?: HarmonyEffort
}

/** The system message's text (openai/harmony, src/encoding.rs, Render<SystemContent>). */
export function systemContent(settings: SystemSettings, hasTools: boolean): string {
  const { model_identity, knowledge_cutoff, current_date, reasoning_effort } = settings
  const top = [
    model_identity,
    knowledge_cutoff && `Knowledge cutoff: ${knowledge_cutoff}`,
    current_date && `Current date: ${current_date}`,
  ]
  const channels = "# Valid channels: analysis, commentary, final. Channel must be included for every message."
  return [
    top.filter(Boolean).join("\n"),
    reasoning_effort && `Reasoning: ${reasoning_effort}`,
    hasTools ? `${channels}\nCalls to these tools must go to the commentary channel: 'functions'.` : channels,
  ]
    .filter(Boolean)
    .join("\n\n")
}

/** The developer message's text: instructions, then the functions, and at its end the response format. */
export function developerContent(
  instructions: string | undefined,
  tools: readonly Tool[],
  format: ResponseFormat = { type: "text" },
): string {
  return [
    instructions ? `# Instructions\n\n${instructions}` : "",
    tools.length > 0 ? toolsSection(tools) : "",
    responseFormats(format),
  ]
    .filter(Boolean)
    .join("\n\n")
}

/** The format of the final message (openai/harmony, docs/format.md, "Structured output"). */
function responseFormats(format: ResponseFormat): string {
  if (format.type === "text") return ""
  const { name, description, schema } =
    format.type === "json_schema"
      ? format
      : {
          name: "json_object",
          description: "A JSON object, and nothing before or after it.",
          schema: { type: "object" },
        }
  const comment = description ? `// ${description.split(/\r\n|[\n\r]/).join("\n// ")}\n` : ""
  return `# Response Formats\n\n## ${name}\n\n${comment}${JSON.stringify(schema)}`
}

/**
 * Token ids of a conversation, ready for the assistant's turn: it ends in `<|start|>assistant`.
 * The pieces are encoded one by one, as openai/harmony does, so text cannot become a special token.
 *
 * @param asWritten given a turn of the assistant, the ids it is to have instead
 */
export function renderConversation(
  messages: readonly HarmonyMessage[],
  tokenizer: Pick<Tokenizer, "encode">,
  tokens: HarmonyTokens,
  asWritten: (turn: readonly number[]) => readonly number[] = (turn) => turn,
): number[] {
  const ids: number[] = []
  let turn: number[] = []
  const add = (more: readonly number[]) => {
    for (const id of more) ids.push(id)
  }
  for (const message of withoutStaleAnalysis(messages)) {
    const rendered = renderMessage(message, tokenizer, tokens)
    if (message.role === "assistant") {
      turn.push(...rendered)
      continue
    }
    add(asWritten(turn))
    add(rendered)
    turn = []
  }
  add(asWritten(turn))
  return [...ids, tokens.start, ...tokenizer.encode("assistant")]
}

/** Token ids of one message. */
export function renderMessage(
  message: HarmonyMessage,
  tokenizer: Pick<Tokenizer, "encode">,
  tokens: HarmonyTokens,
): number[] {
  const { role, name, recipient, channel, content_type, content } = message
  const author = role === "tool" ? (name ?? "tool") : name ? `${role}:${name}` : role
  return [
    tokens.start,
    ...tokenizer.encode(author),
    ...(recipient ? tokenizer.encode(` to=${recipient}`) : []),
    ...(channel ? [tokens.channel, ...tokenizer.encode(channel)] : []),
    ...(content_type ? [...tokenizer.encode(" "), tokens.constrain, ...tokenizer.encode(content_type)] : []),
    tokens.message,
    ...tokenizer.encode(content),
    role === "assistant" && recipient ? tokens.call : tokens.end,
  ]
}

/**
 * Drops the analysis of turns that are over: all of it before the last final message. What follows, the reasoning around
 * tool calls that are still open, stays. (The cookbook's rule; the official renderer drops analysis before the first final only.)
 */
export function withoutStaleAnalysis(messages: readonly HarmonyMessage[]): HarmonyMessage[] {
  const lastFinal = messages.map(({ channel }) => channel).lastIndexOf("final")
  return messages.filter(({ channel }, i) => channel !== "analysis" || i > lastFinal)
}
