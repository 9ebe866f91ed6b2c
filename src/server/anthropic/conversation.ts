import type { ChatMessage } from "../../engine/chat_messages.js"
import type { ConversationParams, ToolParam } from "../../engine/chat_request.js"
import type { ReasoningEffort, ResponseFormat, ToolChoice } from "../../text/messages.js"
import type { RememberedCalls } from "../remembered_calls.js"
import { RequestError } from "../request_error.js"
import type { Block } from "./blocks.js"
import type { CountBody } from "./request.js"

/** A conversation as the engine takes it. */
export interface Rendered {
  readonly messages: readonly ChatMessage[]
  readonly params: ConversationParams
}

/**
 * What a request says, for the engine.
 *
 * @param calls restores what the client could not keep of the model's own calls
 * @throws {RequestError} naming the field
 */
export function conversationOf(body: CountBody, calls: RememberedCalls): Rendered {
  const { messages, system, output_config, output_format } = body
  if (messages.at(-1)!.role === "assistant") {
    throw refused(
      "messages",
      "this model cannot go on with words of the assistant: the last message has to be the user's",
    )
  }
  const names = new Map<string, string>()
  return {
    messages: messages.flatMap((message, i): ChatMessage[] => {
      if (message.role === "system") return [{ role: "system", content: message.content }]
      const { role, content } = message
      return role === "user" ? userMessages(content, names, `messages.${i}`) : assistantMessages(content, names, calls)
    }),
    params: {
      instructions: system || null,
      tools: toolsOf(body.tools ?? []),
      tool_choice: choiceOf(body),
      reasoning_effort: effortOf(body),
      response_format: formatOf(output_config?.format ?? output_format),
    },
  }
}

function refused(param: string, message: string): RequestError {
  return new RequestError("invalid_request", `${param}: ${message}`, { param })
}

/** Results become messages of the tools; the text between them stays where it is. */
function userMessages(blocks: readonly Block[], names: ReadonlyMap<string, string>, path: string): ChatMessage[] {
  const messages: ChatMessage[] = []
  let texts: string[] = []
  const say = () => {
    if (texts.length > 0) messages.push({ role: "user", content: texts.join("\n\n") })
    texts = []
  }
  for (const [i, block] of blocks.entries()) {
    if (block.type === "text") texts.push(block.text)
    if (block.type !== "tool_result") continue
    const name = names.get(block.tool_use_id)
    if (name === undefined) throw refused(`${path}.content.${i}.tool_use_id`, "the id of an earlier tool_use block")
    say()
    messages.push({ role: "tool", name, content: block.content })
  }
  say()
  return messages
}

/** One message, or none if nothing of it is for the model. */
function assistantMessages(
  blocks: readonly Block[],
  names: Map<string, string>,
  calls: RememberedCalls,
): ChatMessage[] {
  let content = ""
  let thought = ""
  let first: string | undefined
  const tool_calls: { name: string; arguments: string }[] = []
  for (const block of blocks) {
    if (block.type === "text") content += block.text
    else if (block.type === "thinking") thought += block.text
    else if (block.type === "tool_use") {
      names.set(block.id, block.name)
      first ??= block.id
      tool_calls.push({ name: block.name, arguments: calls.argumentsOf(block.id, block.arguments) })
    }
  }
  const reasoning = thought || calls.reasoningOf(first)
  if (!content && !reasoning && tool_calls.length === 0) return []
  return [{ role: "assistant", content, ...(reasoning && { reasoning }), ...(tool_calls.length > 0 && { tool_calls }) }]
}

function toolsOf(tools: NonNullable<CountBody["tools"]>): ToolParam[] {
  const names = new Set<string>()
  return tools.flatMap((tool, i) => {
    if (tool === null) return []
    const { name, description, input_schema, strict } = tool
    if (names.has(name)) throw refused(`tools.${i}.name`, "a name that no other tool has")
    names.add(name)
    return [{ name, description, parameters: input_schema, strict }]
  })
}

function choiceOf({ tool_choice, tools }: CountBody): ToolChoice | null {
  switch (tool_choice?.type) {
    case "any":
      return "required"
    case "none":
      return "none"
    case "tool": {
      const { name } = tool_choice
      const isThere = tools?.some((tool) => tool?.name === name)
      if (!name || !isThere) throw refused("tool_choice.name", "the name of a tool that is not one of Anthropic's own")
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
