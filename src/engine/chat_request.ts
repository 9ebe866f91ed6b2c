import * as z from "zod"
import {
  type ConversationOptions,
  type Message,
  REASONING_EFFORTS,
  type ReasoningEffort,
  type ResponseFormat,
  type Tool,
  type ToolChoice,
} from "../text/messages.js"
import { type ChatMessage, messagesSchema } from "./chat_messages.js"
import { ParameterError } from "./errors.js"
import { checked, chosen, fields, isObject, jsonObject, name, text, unfit } from "./schemas.js"

/** A function on offer, in OpenAI's shape or ours; with the type `custom` one that takes text instead of JSON. */
export interface ToolParam {
  readonly type?: string | null
  readonly function?: {
    readonly name: string
    readonly description?: string | null
    /** JSON Schema of an object. */
    readonly parameters?: object | null
    /** True holds the arguments to the schema. */
    readonly strict?: boolean | null
  }
  readonly custom?: { readonly name: string; readonly description?: string | null }
  readonly name?: string
  readonly description?: string | null
  readonly parameters?: object | null
  readonly strict?: boolean | null
  /** True keeps it out of the prompt's beginning: a message tells of it. */
  readonly deferred?: boolean | null
}

/** What is rendered beside the messages, as callers may write it. */
export interface ConversationParams {
  /** The developer's instructions. */
  readonly instructions?: string | null
  readonly reasoning_effort?: ReasoningEffort | null
  readonly tools?: readonly ToolParam[] | null
  /** By default "auto": the model decides. */
  readonly tool_choice?: ToolChoice | null
  /** By default text. */
  readonly response_format?: ResponseFormat | null
}

/** A conversation in the form that chat formats take. */
export interface Conversation {
  readonly messages: readonly Message[]
  readonly options: ConversationOptions
}

const MAX_TOOL_NAME = 128

const flag = z.boolean({ error: "true or false" })

const definition = {
  name: name(MAX_TOOL_NAME),
  description: text.nullish(),
  parameters: jsonObject.transform((schema): Record<string, unknown> => JSON.parse(schema)).nullish(),
  strict: flag.nullish(),
}
const isFunction = z.literal("function", { error: '"function"' })

function toTool({ name, description, parameters, strict }: z.output<z.ZodObject<typeof definition>>): Tool {
  return {
    name,
    ...(description && { description }),
    ...(parameters && { parameters }),
    ...(strict && { strict }),
  }
}

const openAITool = fields({ type: isFunction, function: fields(definition) }).transform((tool) => toTool(tool.function))
const ownTool = fields({ type: isFunction.nullish(), ...definition, deferred: flag.nullish() }).transform(
  ({ deferred, ...tool }): Tool => ({ ...toTool(tool), ...(deferred && { deferred }) }),
)

const custom = { name: definition.name, description: definition.description }
const isCustom = z.literal("custom", { error: '"custom"' })
const toCustom = ({ name, description }: z.output<z.ZodObject<typeof custom>>): Tool => ({
  name,
  ...(description && { description }),
  freeform: true,
})
const openAICustom = fields({ type: isCustom, custom: fields(custom) }).transform((tool) => toCustom(tool.custom))
const ownCustom = fields({ type: isCustom, ...custom }).transform(toCustom)

const tool = chosen<Tool>((value) => {
  if (isObject(value) && value.type === "custom") return value.custom == null ? ownCustom : openAICustom
  return isObject(value) && (value.function != null || ("type" in value && !("name" in value))) ? openAITool : ownTool
})

const LIST_OF_NAMES = { error: "a list of names, at least one" }
const CHOICES = ["none", "auto", "required"] as const
const toolChoice = chosen<ToolChoice>((value) =>
  isObject(value)
    ? z.strictObject({ names: z.array(text, LIST_OF_NAMES).min(1, LIST_OF_NAMES), required: flag })
    : z.enum(CHOICES, { error: `one of ${CHOICES.join(", ")}, or an object with names` }),
)

const FORMATS = ["text", "json_object", "json_schema"]
const schemaFormat = z.strictObject({
  type: z.literal("json_schema"),
  name: text,
  description: text.optional(),
  schema: definition.parameters.unwrap().unwrap(),
})
const responseFormat = chosen<ResponseFormat>((value) => {
  const type = isObject(value) ? value.type : undefined
  if (type === "json_schema") return schemaFormat
  if (type === "text" || type === "json_object")
    return z.strictObject({ type: z.literal(type) }) as z.ZodType<ResponseFormat>
  return unfit("type", `one of ${FORMATS.join(", ")}`)
})

const schema = z.object({
  messages: messagesSchema,
  instructions: text.nullish(),
  reasoning_effort: z.enum(REASONING_EFFORTS, { error: `one of ${REASONING_EFFORTS.join(", ")}` }).nullish(),
  tools: z.array(tool, { error: "a list of tools" }).nullish(),
  tool_choice: toolChoice.nullish(),
  response_format: responseFormat.nullish(),
})

/**
 * Checks a conversation and gives it its normal form.
 *
 * @throws {ParameterError} naming the field as the caller spelled it: `messages.2.content.0.type`, `tools.0.function.name`
 */
export function parseConversation(messages: readonly ChatMessage[], params: ConversationParams): Conversation {
  const parsed = checked(schema, { messages, ...params })
  const { instructions, reasoning_effort, tools, tool_choice, response_format } = parsed
  const names = tools?.map(({ name }) => name) ?? []
  const again = names.findIndex((name, i) => names.indexOf(name) < i)
  if (again >= 0) {
    const field = params.tools?.[again].function ? "function.name" : "name"
    throw new ParameterError(`tools.${again}.${field}`, "a name that no other tool has", names[again])
  }
  checkChoice(tool_choice ?? "auto", names)
  return {
    messages: parsed.messages,
    options: {
      instructions: instructions ?? undefined,
      reasoning_effort: reasoning_effort ?? undefined,
      tools: tools ?? undefined,
      tool_choice: tool_choice ?? undefined,
      response_format: response_format ?? undefined,
    },
  }
}

function checkChoice(choice: ToolChoice, names: readonly string[]): void {
  if (choice === "required" && names.length === 0) {
    throw new ParameterError("tool_choice", "tools beside it, as one is required", choice)
  }
  if (typeof choice === "string") return
  const unknown = choice.names.findIndex((name) => !names.includes(name))
  if (unknown >= 0)
    throw new ParameterError(`tool_choice.names.${unknown}`, "the name of a tool", choice.names[unknown])
}
