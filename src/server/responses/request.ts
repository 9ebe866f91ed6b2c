import * as z from "zod"
import type { ResponseFormat } from "../../text/messages.js"
import { chosen, isObject, jsonObject, name, text, unfit } from "../../engine/schemas.js"
import { effort, engineEffort, flag, model, wholeIn } from "../openai/fields.js"
import { type ParamName, withoutSkipped } from "../openai/param_names.js"
import { parseBody } from "../body.js"
import { refused } from "../request_error.js"
import type { TurnOptions } from "../served_model.js"
import { input } from "./input.js"
import { engineChoice, type ResponseTool, type ResponseToolChoice, toolChoice, toolParam, tools } from "./tools.js"

const word = text.nullish()

function numberIn(least: number, most: number) {
  const error = `a number from ${least} to ${most}`
  return z.number({ error }).min(least, { error }).max(most, { error }).nullish()
}

const reasoning = z.object(
  {
    effort,
    summary: z.enum(["auto", "concise", "detailed"], { error: "auto, concise or detailed" }).nullish(),
  },
  { error: "an object" },
)

const jsonSchema = z
  .object({
    type: z.literal("json_schema"),
    name: name(64),
    description: word,
    schema: jsonObject.transform((schema): Record<string, unknown> => JSON.parse(schema)),
    strict: flag,
  })
  .transform(({ description, strict, ...format }) => ({
    ...format,
    ...(description && { description }),
    strict: strict ?? false,
  }))
const plainFormat = z.object({ type: z.enum(["text", "json_object"]) })

/** `text.format` as responses repeat it. */
export type TextFormat = z.output<typeof jsonSchema> | z.output<typeof plainFormat>

const format = chosen<TextFormat>((value) => {
  const type = isObject(value) ? value.type : undefined
  if (type === "json_schema") return jsonSchema
  return type === "text" || type === "json_object"
    ? plainFormat
    : unfit("type", "one of text, json_object, json_schema")
})

const VERBOSITIES = ["low", "medium", "high"] as const
const textSettings = z.object(
  {
    format: format.nullish(),
    verbosity: z.enum(VERBOSITIES, { error: `one of ${VERBOSITIES.join(", ")}` }).nullish(),
  },
  { error: "an object" },
)

const METADATA = "an object of at most 16 strings, of at most 512 characters each, under names of at most 64"
const metadata = z
  .record(z.string().max(64, { error: METADATA }), z.string({ error: METADATA }).max(512, { error: METADATA }), {
    error: METADATA,
  })
  .refine((pairs) => Object.keys(pairs).length <= 16, { error: METADATA })
  .nullish()

/** What would be lost in silence, and where it went. */
const ELSEWHERE: Record<string, string> = {
  conversation: "nothing: send previous_response_id, or the conversation as input",
  prompt: "nothing: there are no stored prompts here; send instructions and input",
  messages: "input instead: these are the parameters of chat completions",
  max_tokens: "max_output_tokens instead",
  max_completion_tokens: "max_output_tokens instead",
  response_format: "text.format instead",
  reasoning_effort: "reasoning.effort instead",
}
const elsewhere = Object.fromEntries(
  Object.entries(ELSEWHERE).map(([field, error]) => [field, z.null({ error }).optional()]),
)

/**
 * The body of `POST /v1/responses`. What is not named here changes nothing and is ignored: `service_tier`, `safety_identifier`,
 * `prompt_cache_retention`, `max_tool_calls` (of OpenAI's own tools), `client_metadata`, `stream_options`.
 */
export const responseBody = z.object({
  ...elsewhere,
  model,
  input: input.nullish(),
  instructions: word,
  previous_response_id: word,
  store: flag,
  stream: flag,
  background: flag,
  include: z.array(text, { error: "a list of names" }).nullish(),
  tools,
  tool_choice: toolChoice.nullish(),
  parallel_tool_calls: flag,
  text: textSettings.nullish(),
  reasoning: reasoning.nullish(),
  max_output_tokens: wholeIn(1).nullish(),
  max_tool_calls: wholeIn(1).nullish(),
  temperature: numberIn(0, 2),
  top_p: numberIn(0, 1),
  top_logprobs: wholeIn(0, 20).nullish(),
  truncation: z.enum(["auto", "disabled"], { error: '"auto" or "disabled"' }).nullish(),
  metadata,
  user: word,
  safety_identifier: text.max(64, { error: "at most 64 characters" }).nullish(),
  prompt_cache_key: word,
})

/** A request, checked. */
export interface ResponseRequest {
  readonly body: z.output<typeof responseBody>
  readonly tools: readonly ResponseTool[]
  readonly tool_choice: ResponseToolChoice
  readonly store: boolean
  readonly stream: boolean
  readonly background: boolean
  /** Whether reasoning goes out as `encrypted_content` too. */
  readonly seals: boolean
  /** What the engine is told beside the messages. */
  readonly options: TurnOptions
  /** How the request spelled what the engine may complain of. */
  readonly names: readonly ParamName[]
}

/** @throws {RequestError} naming the parameter */
export function responseRequest(json: unknown): ResponseRequest {
  const body = parseBody(responseBody, json)
  const { kept, names } = withoutSkipped(body.tools, "tools", "tools")
  const include = body.include ?? []
  const store = body.store ?? true
  const stream = body.stream ?? false
  const background = body.background ?? false
  if (background && !store) throw refused("background", "a response in the background is stored: send store: true")
  if (background && stream) throw refused("background", "expected false beside stream: poll the response instead")
  const chosen = body.tool_choice ?? { choice: "auto", names: [] }
  return {
    body,
    tools: kept,
    tool_choice: chosen.choice,
    store,
    stream,
    background,
    seals: include.includes("reasoning.encrypted_content"),
    options: {
      instructions: body.instructions,
      reasoning_effort: engineEffort(body.reasoning?.effort),
      tools: kept.map(toolParam),
      tool_choice: engineChoice(chosen.choice),
      response_format: formatOf(body.text?.format),
      max_tokens: body.max_output_tokens,
      temperature: body.temperature,
      top_p: body.top_p,
      ...((include.includes("message.output_text.logprobs") || body.top_logprobs) && {
        logprobs: true,
        top_logprobs: body.top_logprobs ?? 0,
      }),
    },
    names: [
      ...names,
      ...chosen.names,
      ["response_format", "text.format"],
      ["reasoning_effort", "reasoning.effort"],
      ["max_tokens", "max_output_tokens"],
      ["messages", "input"],
    ],
  }
}

function formatOf(format: TextFormat | null | undefined): ResponseFormat | undefined {
  if (!format) return undefined
  if (format.type !== "json_schema") return { type: format.type }
  const { strict: _, ...schema } = format
  return schema
}
