import type { ChatMessage, ToolCallParam } from "../../engine/chat_messages.js"
import type { ConversationParams } from "../../engine/chat_request.js"
import type { ReasoningEffort, ResponseFormat, ToolChoice } from "../../text/messages.js"
import { refused, RequestError } from "../request_error.js"
import type { Block } from "./blocks.js"
import { callId } from "./ids.js"
import type { CountBody } from "./request.js"
import { type Piece, Toolbox } from "./tools.js"

/** A conversation as the engine takes it. */
export interface Rendered {
  readonly messages: readonly ChatMessage[]
  readonly params: ConversationParams
}

/**
 * What a request says, for the engine.
 *
 * @throws {RequestError} naming the field
 */
export function conversationOf(body: CountBody): Rendered {
  const { messages, system, output_config, output_format, thread } = body
  if (thread != null) {
    // By this code Anthropic's client knows that it has to send the whole conversation.
    const details = { param: "thread", code: "thread_unsupported_request" }
    throw new RequestError("invalid_request", "thread: conversations are not held here, send all messages", details)
  }
  if (messages.at(-1)!.role === "assistant") {
    throw refused(
      "messages",
      "this model cannot go on with words of the assistant: the last message has to be the user's",
    )
  }
  const names = new Map<string, string>()
  const toolbox = new Toolbox(body.tools ?? [])
  const lastUser = messages.findLastIndex(({ role }) => role === "user")
  const turns = messages.flatMap((message, i): ChatMessage[] => {
    if (message.role === "assistant") return assistantMessages(message.content, names, `messages.${i}`)
    if (message.role === "user") return userMessages(message.content, names, toolbox, `messages.${i}`)
    const isOver = message.clear_at === "next_user_message" && i < lastUser
    const content = toolbox.told(message.content ?? [])
    return isOver || !content ? [] : [{ role: "system", content }]
  })
  return {
    messages: turns.length > 0 ? turns : [{ role: "user", content: "" }],
    params: {
      instructions: system || null,
      tool_choice: choiceOf(body.tool_choice, toolbox),
      tools: toolbox.params(body.tool_choice?.name ?? undefined),
      reasoning_effort: effortOf(body),
      response_format: formatOf(output_config?.format ?? output_format),
    },
  }
}

/** Results become messages of the tools; what stands between them stays where it is. */
function userMessages(
  blocks: readonly Block[],
  names: ReadonlyMap<string, string>,
  toolbox: Toolbox,
  path: string,
): ChatMessage[] {
  const messages: ChatMessage[] = []
  let pieces: Piece[] = []
  const say = () => {
    if (pieces.length > 0) messages.push({ role: "user", content: toolbox.told(pieces) })
    pieces = []
  }
  for (const [i, block] of blocks.entries()) {
    if (block.type === "text") pieces.push(block.text)
    else if (block.type === "change") pieces.push(block.change)
    if (block.type !== "tool_result") continue
    const name = names.get(block.tool_use_id)
    if (name === undefined) throw refused(`${path}.content.${i}.tool_use_id`, "the id of an earlier tool_use block")
    say()
    messages.push({ role: "tool", name, content: resultOf(toolbox.told(block.content), block.is_error) })
  }
  say()
  return messages
}

/** Harmony has no mark for failure; most tools say it themselves. */
function resultOf(said: string, is_error: boolean): string {
  return is_error && !/^\W*(\w+_)?error/i.test(said) ? `Error: ${said}` : said
}

/** One message, or none if nothing of it is for the model. */
function assistantMessages(blocks: readonly Block[], names: Map<string, string>, path: string): ChatMessage[] {
  let content = ""
  let reasoning = ""
  const tool_calls = new Map<string, ToolCallParam>()
  for (const [i, block] of blocks.entries()) {
    if (block.type === "text") content += block.text
    else if (block.type === "thinking") reasoning += block.text
    else if (block.type === "tool_use") {
      if (tool_calls.has(block.id)) throw refused(`${path}.content.${i}.id`, "an id that no other call has")
      tool_calls.set(block.id, { id: callId(block.id), name: block.name, arguments: block.arguments })
      names.set(block.id, block.name)
    }
  }
  if (!content && !reasoning && tool_calls.size === 0) return []
  const calls = [...tool_calls.values()]
  return [
    { role: "assistant", content, ...(reasoning && { reasoning }), ...(calls.length > 0 && { tool_calls: calls }) },
  ]
}

function choiceOf(choice: CountBody["tool_choice"], toolbox: Toolbox): ToolChoice | null {
  switch (choice?.type) {
    case "any":
      return "required"
    case "none":
      return "none"
    case "tool": {
      const { name } = choice
      if (!name || !toolbox.has(name)) {
        throw refused("tool_choice.name", "the name of a tool that is not one of Anthropic's own")
      }
      return { names: [name], required: true }
    }
    default:
      return null
  }
}

/** Tokens of a thinking budget below which little or some thinking is asked for. */
const BUDGETS = [
  [4096, "low"],
  [16384, "medium"],
] as const

function effortOf({ thinking, output_config }: CountBody): ReasoningEffort | null {
  if (thinking?.type === "disabled") return "none"
  const effort = output_config?.effort
  if (effort) return effort === "max" ? "xhigh" : effort
  const budget = thinking?.type === "enabled" ? thinking.budget_tokens : null
  if (budget == null) return null
  return BUDGETS.find(([tokens]) => budget < tokens)?.[1] ?? "high"
}

function formatOf(format: CountBody["output_format"]): ResponseFormat | null {
  return format ? { type: "json_schema", name: "response", schema: format.schema } : null
}
