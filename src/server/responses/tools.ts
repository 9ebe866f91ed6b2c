import * as z from "zod"
import type { ToolParam } from "../../engine/chat_request.js"
import { chosen, isObject, jsonObject, name, text, unfit } from "../../engine/schemas.js"
import type { ToolChoice } from "../../text/messages.js"
import { type ParamName, withoutSkipped } from "../openai/param_names.js"
import { flag } from "../openai/fields.js"
import { customDescription } from "../openai/tools.js"

/** A tool as responses tell it. */
export type ResponseTool =
  | {
      readonly type: "function"
      readonly name: string
      readonly description: string | null
      readonly parameters: Readonly<Record<string, unknown>> | null
      readonly strict: boolean
    }
  | {
      readonly type: "custom"
      readonly name: string
      readonly description?: string
      readonly format:
        | { readonly type: "text" }
        | { readonly type: "grammar"; readonly syntax: string; readonly definition: string }
    }

const MAX_TOOL_NAME = 128
const toolName = name(MAX_TOOL_NAME)
const parameters = jsonObject.transform((schema): Record<string, unknown> => JSON.parse(schema))

const functionTool = z
  .object({
    name: toolName,
    description: text.nullish(),
    parameters: parameters.nullish(),
    strict: flag,
  })
  .transform(
    ({ name, description, parameters, strict }): ResponseTool => ({
      type: "function",
      name,
      description: description ?? null,
      parameters: parameters ?? null,
      strict: strict ?? false,
    }),
  )

const grammar = z.object({
  type: z.literal("grammar"),
  syntax: z.enum(["lark", "regex"], { error: '"lark" or "regex"' }),
  definition: text,
})
const format = chosen<Extract<ResponseTool, { type: "custom" }>["format"]>((value) => {
  const type = isObject(value) ? value.type : undefined
  if (type === "grammar") return grammar
  return type === "text" ? z.object({ type: z.literal("text") }) : unfit("type", '"text" or "grammar"')
})

const customTool = z.object({ name: toolName, description: text.nullish(), format: format.nullish() }).transform(
  ({ name, description, format }): ResponseTool => ({
    type: "custom",
    name,
    ...(description && { description }),
    format: format ?? { type: "text" },
  }),
)

/** Null stands for a type that this server has no use for, such as `web_search`. */
const tool = chosen<ResponseTool | null>((value) => {
  if (!isObject(value)) return z.never({ error: "an object" })
  if (value.type === "function") return functionTool
  if (value.type === "custom") return customTool
  return typeof value.type === "string" ? z.unknown().transform(() => null) : unfit("type", "a string")
})

/** `tools`: null in the place of each that is skipped. */
export const tools = z
  .array(tool, { error: "a list of tools" })
  .nullish()
  .transform((given, context): readonly (ResponseTool | null)[] => {
    const names = new Set<string>()
    for (const [i, tool] of (given ?? []).entries()) {
      if (tool && names.has(tool.name)) {
        context.addIssue({ code: "custom", path: [i, "name"], message: "a name that no other tool has" })
      }
      if (tool) names.add(tool.name)
    }
    return given ?? []
  })

/** A tool as the engine takes it. */
export function toolParam(tool: ResponseTool): ToolParam {
  if (tool.type === "function") return tool
  const { type, name, description, format } = tool
  return { type, name, description: customDescription(description, format.type === "grammar" ? format : null) }
}

/** How the request chose, in the shape that responses repeat. */
export type ResponseToolChoice =
  | "none"
  | "auto"
  | "required"
  | { readonly type: "function" | "custom"; readonly name: string }
  | {
      readonly type: "allowed_tools"
      readonly mode: "auto" | "required"
      readonly tools: readonly { readonly type: string; readonly name: string }[]
    }

const CHOICES = ["none", "auto", "required"] as const
const word = z.enum(CHOICES, { error: `one of ${CHOICES.join(", ")}, or an object` })
const named = z.object({ type: z.enum(["function", "custom"]), name: text })

/** A choice as responses repeat it, and how the request spelled what the engine may complain of. */
export interface RequestChoice {
  readonly choice: ResponseToolChoice
  readonly names: readonly ParamName[]
}
const choiceOf = (choice: ResponseToolChoice, ...names: ParamName[]): RequestChoice => ({ choice, names })

/** Of the tools allowed, those of types that are skipped cannot be called anyway. */
const allowed = z
  .object({
    type: z.literal("allowed_tools"),
    mode: z.enum(["auto", "required"], { error: '"auto" or "required"' }),
    tools: z.array(
      chosen<{ type: string; name: string } | null>((value) =>
        isObject(value) && typeof value.type === "string" && value.type !== "function" && value.type !== "custom"
          ? z.unknown().transform(() => null)
          : named,
      ),
      { error: "a list of tools" },
    ),
  })
  .transform((choice) => {
    const { kept, names } = withoutSkipped(choice.tools, "tool_choice.names", "tool_choice.tools")
    return choiceOf({ ...choice, tools: kept }, ...names)
  })

/** `tool_choice`. One of a type that is skipped leaves the choice to the model. */
export const toolChoice = chosen<RequestChoice>((value) => {
  if (!isObject(value)) return word.transform((choice) => choiceOf(choice))
  if (value.type === "allowed_tools") return allowed
  if (value.type === "function" || value.type === "custom") {
    return named.transform((choice) => choiceOf(choice, ["tool_choice.names.0", "tool_choice.name"]))
  }
  return typeof value.type === "string" ? z.unknown().transform(() => choiceOf("auto")) : unfit("type", "a string")
})

/** A choice as the engine takes it. */
export function engineChoice(choice: ResponseToolChoice): ToolChoice {
  if (typeof choice === "string") return choice
  if (choice.type !== "allowed_tools") return { names: [choice.name], required: true }
  const names = choice.tools.map(({ name }) => name)
  return names.length > 0 ? { names, required: choice.mode === "required" } : "none"
}
