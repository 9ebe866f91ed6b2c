import * as z from "zod"
import type { Message, ToolCall } from "../text/messages.js"
import { chosen, fields, isObject, json, jsonObject, name, text, unfit } from "./schemas.js"

/** A piece of a message's content. `text` and an assistant's `refusal` are understood; images, audio and files are refused. */
export interface ContentPart {
  readonly type: string
  readonly text?: string
  readonly refusal?: string
}

/** A call in a message that comes back: in OpenAI's shapes or ours. Arguments that are no string are sent as JSON. */
export interface ToolCallParam {
  readonly id?: string | null
  readonly type?: string | null
  readonly function?: { readonly name: string; readonly arguments: string | object }
  /** With the type `custom`: the call of a tool that takes text. */
  readonly custom?: { readonly name: string; readonly input: string }
  readonly name?: string
  readonly arguments?: string | object
}

/** A message as callers may write it: OpenAI's chat completions shapes, or ours, which are shorter. */
export type ChatMessage =
  | {
      readonly role: "system" | "developer" | "user"
      readonly content: string | readonly ContentPart[]
      /** Which of several users. */
      readonly name?: string | null
    }
  | {
      readonly role: "assistant"
      /** May be missing beside `tool_calls`, `reasoning` or `refusal`. */
      readonly content?: string | readonly ContentPart[] | null
      readonly reasoning?: string | null
      /** Another name of `reasoning`. */
      readonly reasoning_content?: string | null
      readonly refusal?: string | null
      readonly tool_calls?: readonly ToolCallParam[] | null
      /** OpenAI's older form of a single call. */
      readonly function_call?: { readonly name: string; readonly arguments: string | object } | null
      readonly name?: string | null
      readonly audio?: object | null
    }
  | {
      /** `function` is OpenAI's older name. */
      readonly role: "tool" | "function"
      /** Text, or whatever the tool returned: what is no string is sent as JSON. */
      readonly content: string | number | boolean | object | null
      /** The tool's name; may be missing beside the `tool_call_id` of an earlier call. */
      readonly name?: string | null
      readonly tool_call_id?: string | null
    }

/** Longest name in a conversation: the model may have called what was never declared. */
const MAX_CALLED_NAME = 512

const PARTS = ["text", "image_url", "input_audio", "file", "refusal", "input_text", "output_text", "input_image"]

const textPart = fields({ type: z.literal("text"), text }).transform((part) => part.text)
const refusalPart = fields({ type: z.literal("refusal"), refusal: text }).transform((part) => part.refusal)

/** Content as text: parts follow each other as openai/harmony renders them. */
function content(role: string): z.ZodType<string> {
  const part = chosen<string>((value) => {
    const type = isObject(value) ? value.type : undefined
    if (type === "text") return textPart
    if (type === "refusal" && role === "assistant") return refusalPart
    return unfit("type", '"text": the model reads nothing else')
  })
  const parts = z.array(part, { error: "a string or a list of content parts" }).transform((texts) => texts.join(""))
  return chosen((value) => (typeof value === "string" ? text : parts))
}

const instructions = (role: "system" | "developer") =>
  fields({ role: z.literal(role), content: content(role), name: text.nullish() }).transform(({ content }) => ({
    role,
    content,
  }))

const userMessage = fields({ role: z.literal("user"), content: content("user"), name: name(64).nullish() }).transform(
  ({ role, content, name }) => ({ role, content, ...(name && { name }) }),
)

const toolName = name(MAX_CALLED_NAME)
const argumentsText = chosen<string>((value) => {
  if (typeof value === "string") return text
  return isObject(value) ? jsonObject : z.never({ error: "a string or an object" })
})
const call = { name: toolName, arguments: argumentsText }
const id = text.nullish()
const isFunction = z.literal("function", { error: '"function"' }).nullish()
const openAICall = fields({ id, type: isFunction, function: fields(call) }).transform((call) => ({
  id: call.id,
  ...call.function,
}))
const ownCall = fields({ id, type: isFunction, ...call }).transform(({ type: _, ...call }) => call)
const isCustom = z.literal("custom", { error: '"custom"' })
const customCall = fields({ id, type: isCustom, custom: fields({ name: toolName, input: text }) }).transform(
  (call) => ({
    id: call.id,
    name: call.custom.name,
    arguments: call.custom.input,
  }),
)
const toolCall = chosen<Omit<ToolCall, "id"> & { id?: string | null }>((value) => {
  if (isObject(value) && value.type === "custom") return customCall
  return isObject(value) && "name" in value ? ownCall : openAICall
})

const assistantMessage = fields({
  role: z.literal("assistant"),
  content: content("assistant").nullish(),
  refusal: text.nullish(),
  reasoning: text.nullish(),
  reasoning_content: text.nullish(),
  tool_calls: z.array(toolCall, { error: "a list of tool calls" }).nullish(),
  function_call: fields(call).nullish(),
  name: text.nullish(),
}).transform((message, context) => {
  const { content, refusal, reasoning, reasoning_content, tool_calls, function_call } = message
  const calls = [...(tool_calls ?? []), ...(function_call ? [{ id: null, ...function_call }] : [])]
  const thought = reasoning || reasoning_content
  if (reasoning && reasoning_content && reasoning !== reasoning_content) {
    context.addIssue({ code: "custom", path: ["reasoning_content"], message: "the same as reasoning, or nothing" })
  }
  if (content == null && refusal == null && !thought && calls.length === 0) {
    context.addIssue({ code: "custom", path: ["content"], message: "a string, or tool_calls beside it" })
  }
  return {
    role: message.role,
    content: [content, refusal].filter(Boolean).join("\n\n"),
    ...(thought && { reasoning: thought }),
    ...(calls.length > 0 && { tool_calls: calls }),
  }
})

/** A list of content parts is content; any other value that is no string is data. */
const toolContent = chosen<string>((value) => {
  const isPart = (item: unknown) => isObject(item) && typeof item.type === "string" && PARTS.includes(item.type)
  const isContent = typeof value === "string" || (Array.isArray(value) && value.length > 0 && value.every(isPart))
  return isContent ? content("tool") : json
})

const toolMessage = fields({
  role: z.enum(["tool", "function"]),
  content: toolContent,
  name: toolName.nullish(),
  tool_call_id: text.nullish(),
}).transform(({ content, name, tool_call_id }) => ({ role: "tool" as const, content, name, tool_call_id }))

const ROLES = {
  system: instructions("system"),
  developer: instructions("developer"),
  user: userMessage,
  assistant: assistantMessage,
  tool: toolMessage,
  function: toolMessage,
}

type Parsed = z.output<(typeof ROLES)[keyof typeof ROLES]>

const message = chosen<Parsed>((value) => {
  const role = isObject(value) ? value.role : undefined
  const known = Object.keys(ROLES).slice(0, -1)
  return typeof role === "string" && Object.hasOwn(ROLES, role)
    ? ROLES[role as keyof typeof ROLES]
    : unfit("role", `one of ${known.join(", ")}`)
})

/**
 * Messages in any shape that `ChatMessage` admits, each in the form that chat formats take.
 * @internal who imports the types of this package shall not need those of zod
 */
export const messagesSchema = z
  .array(message, { error: "a list of messages" })
  .min(1, { error: "at least one message" })
  .transform(withToolNames)

/** Finds the names of the tools whose results come under the id of their call. */
function withToolNames(messages: readonly Parsed[], context: z.core.$RefinementCtx): Message[] {
  const called = new Map<string, string>()
  return messages.map((message, i): Message => {
    if (message.role === "assistant") {
      const { tool_calls, ...rest } = message
      const own = new Map<string, string>()
      for (const [k, { id, name }] of (tool_calls ?? []).entries()) {
        if (!id) continue
        if (own.has(id) && own.get(id) !== name) {
          const expected = "an id that no other call of the message has: a result could be of either"
          context.addIssue({ code: "custom", path: [i, "tool_calls", k, "id"], message: expected })
        }
        own.set(id, name)
        called.set(id, name)
      }
      const calls = tool_calls?.map(({ id, name, arguments: args }) => ({ name, arguments: args, ...(id && { id }) }))
      return calls ? { ...rest, tool_calls: calls } : rest
    }
    if (message.role !== "tool") return message
    const { role, content, name, tool_call_id } = message
    const refuse = (field: string, expected: string): Message => {
      context.addIssue({ code: "custom", path: [i, field], message: expected })
      return z.NEVER
    }
    // Some servers give calls no id, or an empty one.
    if (!tool_call_id) return name ? { role, content, name } : refuse("tool_call_id", "the id of a call, or a name")
    const calledName = called.get(tool_call_id)
    if (calledName === undefined) return refuse("tool_call_id", "the id of an earlier tool call")
    if (name && name !== calledName) return refuse("name", `"${calledName}", as in the call of that id`)
    return { role, content, name: calledName }
  })
}
