import { z } from "zod"
import {
  type ConversationOptions,
  type Message,
  REASONING_EFFORTS,
  type ReasoningEffort,
  type Tool,
} from "../text/messages.js"
import { type ChatMessage, messagesSchema } from "./chat_messages.js"
import { ParameterError } from "./errors.js"
import { checked, chosen, fields, isObject, jsonObject, name, text } from "./schemas.js"

/** A function on offer, in OpenAI's shape or ours. */
export interface ToolParam {
  readonly type?: string | null
  readonly function?: {
    readonly name: string
    readonly description?: string | null
    /** JSON Schema of an object. */
    readonly parameters?: object | null
    /** Allowed, but the arguments are the model's: they are not held to the schema. */
    readonly strict?: boolean | null
  }
  readonly name?: string
  readonly description?: string | null
  readonly parameters?: object | null
}

/** What is rendered beside the messages, as callers may write it. */
export interface ConversationParams {
  /** The developer's instructions. */
  readonly instructions?: string | null
  readonly reasoning_effort?: ReasoningEffort | null
  readonly tools?: readonly ToolParam[] | null
}

/** A conversation in the form that chat formats take. */
export interface Conversation {
  readonly messages: readonly Message[]
  readonly options: ConversationOptions
}

const MAX_TOOL_NAME = 128

const definition = {
  name: name(MAX_TOOL_NAME),
  description: text.nullish(),
  parameters: jsonObject.transform((schema): Record<string, unknown> => JSON.parse(schema)).nullish(),
  strict: z.boolean({ error: "true or false" }).nullish(),
}
const isFunction = z.literal("function", { error: '"function"' })

function toTool({ name, description, parameters }: z.output<z.ZodObject<typeof definition>>): Tool {
  return { name, ...(description && { description }), ...(parameters && { parameters }) }
}

const openAITool = fields({ type: isFunction, function: fields(definition) }).transform((tool) => toTool(tool.function))
const ownTool = fields({ type: isFunction.nullish(), ...definition }).transform(toTool)

const tool = chosen<Tool>((value) =>
  isObject(value) && (value.function != null || ("type" in value && !("name" in value))) ? openAITool : ownTool,
)

const schema = z.object({
  messages: messagesSchema,
  instructions: text.nullish(),
  reasoning_effort: z.enum(REASONING_EFFORTS, { error: `one of ${REASONING_EFFORTS.join(", ")}` }).nullish(),
  tools: z.array(tool, { error: "a list of tools" }).nullish(),
})

/**
 * Checks a conversation and gives it its normal form.
 *
 * @throws {ParameterError} naming the field as the caller spelled it: `messages.2.content.0.type`, `tools.0.function.name`
 */
export function parseConversation(messages: readonly ChatMessage[], params: ConversationParams): Conversation {
  const parsed = checked(schema, { messages, ...params })
  const { instructions, reasoning_effort, tools } = parsed
  const names = tools?.map(({ name }) => name) ?? []
  const again = names.findIndex((name, i) => names.indexOf(name) < i)
  if (again >= 0) {
    const field = params.tools?.[again].function ? "function.name" : "name"
    throw new ParameterError(`tools.${again}.${field}`, "a name that no other tool has", names[again])
  }
  return {
    messages: parsed.messages,
    options: {
      instructions: instructions ?? undefined,
      reasoning_effort: reasoning_effort ?? undefined,
      tools: tools ?? undefined,
    },
  }
}
