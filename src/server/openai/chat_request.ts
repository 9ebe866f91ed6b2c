import * as z from "zod"
import type { ChatMessage } from "../../engine/chat_messages.js"
import { chosen, isObject, text, unfit } from "../../engine/schemas.js"
import type { ResponseFormat } from "../../text/messages.js"
import type { TurnOptions } from "../served_model.js"
import {
  effort,
  engineEffort,
  flag,
  ignored,
  model,
  object,
  sampling,
  samplingNames,
  samplingOf,
  stream,
  tokenCount,
  wholeIn,
} from "./fields.js"
import type { ParamName } from "./param_names.js"
import { functionCall, functions, toolChoice, tools, toolsOf } from "./tools.js"

/** The engine's format, and how the request spelled what is in it. */
interface RequestFormat {
  readonly format: ResponseFormat
  readonly names: readonly ParamName[]
}

const schemaFormat = z
  .object({
    json_schema: z.object(
      { name: text.nullish(), description: text.nullish(), schema: object.nullish(), strict: flag },
      { error: "an object with name and schema" },
    ),
  })
  .transform(({ json_schema: { name, description, schema } }): RequestFormat => {
    if (!schema) return { format: { type: "json_object" }, names: [] }
    const told = { name: name ?? "response", ...(description && { description }) }
    return {
      format: { type: "json_schema", ...told, schema },
      names: ["schema", "name"].map((field) => [`response_format.${field}`, `response_format.json_schema.${field}`]),
    }
  })

/** llama-server takes a schema here as well. */
const objectFormat = z.object({ schema: object.nullish() }).transform(
  ({ schema }): RequestFormat => ({
    format: schema ? { type: "json_schema", name: "response", schema } : { type: "json_object" },
    names: [],
  }),
)

const responseFormat = chosen<RequestFormat>((value) => {
  const type = isObject(value) ? value.type : undefined
  if (type === "json_schema") return schemaFormat
  if (type === "json_object") return objectFormat
  if (type === "text") return z.any().transform((): RequestFormat => ({ format: { type }, names: [] }))
  return unfit("type", "one of text, json_object, json_schema")
}).meta({ type: "object" })

const TEXT_ONLY = 'nothing, or ["text"]: the model writes text only'

/** The body of `POST /v1/chat/completions`. The engine checks messages, tools and ranges. Fields that are not known are ignored. */
export const chatBody = z.object({
  model,
  messages: z
    .custom<readonly ChatMessage[]>(Array.isArray, { error: "a list of messages" })
    .meta({ type: "array", items: { type: "object" } }),
  ...sampling,
  ...stream,
  ...ignored,
  max_tokens: tokenCount(1),
  max_completion_tokens: tokenCount(1),
  n: wholeIn(1, 128).nullish(),
  logprobs: flag,
  top_logprobs: wholeIn(0, 20).nullish(),
  response_format: responseFormat.nullish(),
  tools,
  tool_choice: toolChoice.nullish(),
  parallel_tool_calls: flag,
  functions,
  function_call: functionCall.nullish(),
  reasoning_effort: effort,
  /** OpenRouter's way to say it. */
  reasoning: z.object({ effort }, { error: "an object with effort" }).nullish(),
  /** vLLM's and llama-server's way to say it. */
  chat_template_kwargs: z.object({ reasoning_effort: effort }, { error: "an object" }).nullish(),
  verbosity: text.nullish(),
  modalities: z.array(z.literal("text", { error: TEXT_ONLY }), { error: TEXT_ONLY }).nullish(),
  audio: z.null({ error: "nothing: the model writes text only" }).optional(),
  prediction: object.nullish(),
  web_search_options: object.nullish(),
})

/** A request for `n` answers to a conversation. */
export interface ChatRequest {
  readonly model: string | undefined
  readonly messages: readonly ChatMessage[]
  readonly n: number
  readonly stream: boolean
  readonly include_usage: boolean
  /** Of the `i`th answer. */
  readonly options: (i: number) => TurnOptions
  readonly telling: Telling
  readonly names: readonly ParamName[]
}

/** How an answer is to be told. */
export interface Telling {
  readonly logprobs: boolean
  /** Tools that take text. */
  readonly custom: ReadonlySet<string>
  /** Only the first call is told. */
  readonly single: boolean
  /** A call is told in OpenAI's older form. */
  readonly old: boolean
}

export function chatRequest(body: z.output<typeof chatBody>): ChatRequest {
  const { messages, n, response_format, parallel_tool_calls, logprobs, top_logprobs } = body
  const old = !body.tools && !!body.functions
  const { tools, custom, names } = toolsOf(body.tools, body.functions)
  const chosen = body.tool_choice ?? body.function_call
  const limit = body.max_completion_tokens ?? body.max_tokens
  const asked = {
    logprobs,
    top_logprobs,
    max_tokens: limit,
    response_format: response_format?.format,
    tool_choice: chosen?.choice,
  }
  const reasoning_effort = engineEffort(
    body.reasoning_effort ?? body.reasoning?.effort ?? body.chat_template_kwargs?.reasoning_effort,
  )
  return {
    model: body.model ?? undefined,
    messages,
    n: n ?? 1,
    stream: body.stream ?? false,
    include_usage: body.stream_options?.include_usage ?? false,
    options: (i) => ({ ...samplingOf(body, i), ...asked, reasoning_effort, ...(tools.length > 0 && { tools }) }),
    telling: { logprobs: logprobs ?? false, custom, single: parallel_tool_calls === false || old, old },
    names: [...names, ...(chosen?.names ?? []), ...(response_format?.names ?? []), ...samplingNames(body)],
  }
}
