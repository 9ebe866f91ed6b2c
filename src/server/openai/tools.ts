import * as z from "zod"
import type { ToolParam } from "../../engine/chat_request.js"
import { chosen, isObject, text, unfit } from "../../engine/schemas.js"
import type { ToolChoice } from "../../text/messages.js"
import { object } from "./fields.js"
import { type ParamName, withoutSkipped } from "./param_names.js"

/** Tools of a request as the engine takes them. */
export interface RequestTools {
  readonly tools: readonly ToolParam[]
  /** Of those that take text instead of JSON. */
  readonly custom: ReadonlySet<string>
  readonly names: readonly ParamName[]
}

interface ToolGrammar {
  readonly syntax: string
  readonly definition: string
}

/** What the model is told of a tool that takes text: the grammar is in words, as the model is not held to it. */
export function customDescription(description: string | null | undefined, grammar: ToolGrammar | null): string {
  const rule = grammar && `The input is text of this ${grammar.syntax} grammar:\n${grammar.definition}`
  return [description, rule].filter(Boolean).join("\n\n")
}

const textFormat = z.object({ type: z.literal("text") }).transform(() => null)
const grammarFormat = z
  .object({ type: z.literal("grammar"), grammar: z.object({ definition: text, syntax: text }, { error: "an object" }) })
  .transform(({ grammar }) => grammar)

const customFormat = chosen<ToolGrammar | null>((value) => {
  const type = isObject(value) ? value.type : undefined
  if (type === "grammar") return grammarFormat
  return type === "text" ? textFormat : unfit("type", '"text" or "grammar"')
})

const customTool = z
  .object({
    type: z.literal("custom"),
    custom: z.looseObject({ description: text.nullish(), format: customFormat.nullish() }, { error: "an object" }),
  })
  .transform(({ type, custom: { format, description, ...custom } }) => {
    const told = customDescription(description, format ?? null)
    return { type, custom: { ...custom, ...(told && { description: told }) } } as ToolParam
  })

/** Of the types that this server has no use for, such as `web_search`: skipped. */
const SKIPPED = null

const tool = chosen<ToolParam | null>((value) => {
  if (!isObject(value)) return z.never({ error: "an object" })
  const { type } = value
  if (type === "custom") return customTool
  if (type === undefined || type === null || type === "function") return z.custom<ToolParam>()
  return typeof type === "string" ? z.any().transform(() => SKIPPED) : unfit("type", "a string")
}).meta({ type: "object" })

/** `tools`; the engine checks the definitions. */
export const tools = z.array(tool, { error: "a list of tools" }).nullish()

/** `functions`: OpenAI's older form. */
export const functions = z.array(object, { error: "a list of functions" }).nullish()

export function toolsOf(
  tools: readonly (ToolParam | null)[] | null | undefined,
  functions: readonly object[] | null | undefined,
): RequestTools {
  const old = (functions ?? []).map((definition) => ({ type: "function", function: definition }) as ToolParam)
  const oldNames = old.flatMap((_, i): ParamName[] => [
    [`tools.${i}.function`, `functions.${i}`],
    [`tools.${i}`, `functions.${i}`],
  ])
  const { kept, names } = tools ? withoutSkipped(tools, "tools", "tools") : { kept: old, names: oldNames }
  const custom = kept.flatMap((tool) => (tool.type === "custom" && tool.custom ? [tool.custom.name] : []))
  return { tools: kept, custom: new Set(custom), names }
}

/** The engine's choice, and how the request spelled what is in it. */
export interface RequestChoice {
  readonly choice: ToolChoice
  readonly names: readonly ParamName[]
}

const CHOICES = ["none", "auto", "required"] as const
const named = z.object({ name: text }, { error: "an object with the name of a tool" })
const plain = z.enum(CHOICES, { error: `one of ${CHOICES.join(", ")}, or an object` })
const choiceOf = (choice: ToolChoice, ...names: ParamName[]): RequestChoice => ({ choice, names })

const allowedTools = z
  .object({
    allowed_tools: z.object(
      {
        mode: z.enum(["auto", "required"], { error: "auto or required" }),
        tools: z.array(z.looseObject({ type: text }, { error: "an object with type" }), { error: "a list of tools" }),
      },
      { error: "an object with mode and tools" },
    ),
  })
  .transform(({ allowed_tools: { mode, tools } }, context): RequestChoice => {
    const given = tools.map((tool, i) => {
      if (tool.type !== "function" && tool.type !== "custom") return SKIPPED
      const { name } = (isObject(tool[tool.type]) ? tool[tool.type] : tool) as { name?: unknown }
      if (typeof name === "string") return name
      const path = ["allowed_tools", "tools", i, tool.type, "name"]
      context.addIssue({ code: "custom", path, message: "the name of a tool" })
      return SKIPPED
    })
    const { kept, names } = withoutSkipped(given, "tool_choice.names", "tool_choice.allowed_tools.tools")
    return choiceOf(kept.length > 0 ? { names: kept, required: mode === "required" } : "none", ...names)
  })

const namedTool = (type: "function" | "custom") =>
  z
    .object({ [type]: named })
    .transform((given) =>
      choiceOf({ names: [given[type].name], required: true }, ["tool_choice.names.0", `tool_choice.${type}.name`]),
    )

/** `tool_choice`. One of a type that is skipped leaves the choice to the model. */
export const toolChoice = chosen<RequestChoice>((value) => {
  if (!isObject(value)) return plain.transform((choice) => choiceOf(choice))
  const { type } = value
  if (type === "allowed_tools") return allowedTools
  if (type === "function" || type === "custom") return namedTool(type)
  return typeof type === "string" ? z.any().transform(() => choiceOf("auto")) : unfit("type", "a string")
}).meta({ type: ["string", "object"] })

/** `function_call`: OpenAI's older form. */
export const functionCall = chosen<RequestChoice>((value) =>
  isObject(value)
    ? named.transform(({ name }) =>
        choiceOf({ names: [name], required: true }, ["tool_choice.names.0", "function_call.name"]),
      )
    : z
        .enum(["none", "auto"], { error: "none, auto, or an object with the name of a function" })
        .transform((choice) => choiceOf(choice, ["tool_choice", "function_call"])),
)
