import type { ChatMessage } from "../../engine/chat_messages.js"
import type { ConversationParams } from "../../engine/chat_request.js"
import type { GenerateOptions } from "../../engine/generate.js"
import type { ReasoningEffort, ResponseFormat } from "../../text/messages.js"
import { refused } from "../request_error.js"
import type { ServedModelInfo } from "../served_model.js"
import type { ChatBody, SharedBody } from "./request.js"

/** How the turn is made, whatever is said. @throws {RequestError} naming the option */
export function optionsOf(body: SharedBody, { max_context }: ServedModelInfo): GenerateOptions {
  const { num_ctx, num_predict, stop, repeat_penalty, repeat_last_n, ...sampling } = body.options ?? {}
  if (num_ctx != null && num_ctx > max_context) {
    throw refused("options.num_ctx", `at most ${max_context}, which is the model's context here; found ${num_ctx}`)
  }
  const window = repeat_last_n ?? REPEAT_WINDOW
  const { logprobs, top_logprobs } = body
  return {
    ...sampling,
    // Ollama's -1 and -2 are to go on until the context is full.
    max_tokens: num_predict != null && num_predict > 0 ? num_predict : null,
    stop: typeof stop === "string" ? [stop].filter(Boolean) : stop,
    ...(window !== 0 && { repetition_penalty: repeat_penalty }),
    ...(window > 0 && repeat_penalty != null && { repetition_context_size: window }),
    logprobs: logprobs || null,
    top_logprobs: logprobs ? top_logprobs : null,
  }
}

/** Tokens that Ollama's repeat penalty looks at unless told. */
const REPEAT_WINDOW = 64

/** What the answer shall be. */
export function paramsOf({ think, format }: SharedBody): ConversationParams {
  return { reasoning_effort: effortOf(think), response_format: formatOf(format) }
}

function effortOf(think: SharedBody["think"]): ReasoningEffort | null {
  if (think === false) return "none"
  if (think === "max") return "xhigh"
  return think == null || think === true ? null : think
}

function formatOf(format: SharedBody["format"]): ResponseFormat | null {
  if (!format) return null
  return format === "json" ? { type: "json_object" } : { type: "json_schema", name: "response", schema: format }
}

/**
 * The messages, with results named after the call that they answer: by `tool_call_id`, by `tool_name`, or else in the order of calls.
 *
 * @throws {RequestError} naming the message
 */
export function messagesOf(messages: NonNullable<ChatBody["messages"]>): ChatMessage[] {
  const names = new Map<string, string>()
  let open: string[] = []
  return messages.map((message, i): ChatMessage => {
    const { role, content, thinking, tool_calls } = message
    if (role === "tool") {
      const said = message.tool_name ?? message.name
      const name = names.get(message.tool_call_id ?? "") ?? (said || open[0])
      if (!name) throw refused(`messages.${i}.tool_name`, "the name of the tool whose result this is")
      const answered = open.indexOf(name)
      open = open.filter((_, k) => k !== answered)
      return { role, name, content }
    }
    if (role !== "assistant") return { role, content }
    open = tool_calls?.map((call) => call.function.name) ?? []
    for (const { id, function: called } of tool_calls ?? []) if (id) names.set(id, called.name)
    const calls = tool_calls?.map(({ id, function: called }, k) => {
      // Some clients give all calls one id.
      const isFirst = tool_calls.findIndex((other) => other.id === id) === k
      return { ...called, ...(id && isFirst && { id }) }
    })
    return { role, content, ...(thinking && { reasoning: thinking }), ...(calls?.length && { tool_calls: calls }) }
  })
}
