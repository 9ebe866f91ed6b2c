import * as z from "zod"
import { chosen, isObject, name, text } from "../../engine/schemas.js"
import { argumentsOf } from "../call_input.js"

const bool = z.boolean({ error: "true or false" })
const number = z.number({ error: "a number" })

/** Nothing, or an empty list. */
const noImages = z
  .array(z.unknown(), { error: "a list" })
  .max(0, { error: "no images: the model reads text only" })
  .nullish()

const toolCall = z.object({
  id: text.nullish(),
  function: z.object({
    name: name(512),
    /** JSON. */
    arguments: chosen<string>((value) => {
      if (typeof value === "string") return text
      if (value == null) return z.unknown().transform(() => "{}")
      if (!isObject(value)) return z.never({ error: "an object" })
      return z.custom<Record<string, unknown>>().transform((value, context) => {
        const args = argumentsOf(value)
        if (args === undefined) context.addIssue("an object, in JSON too")
        return args ?? ""
      })
    }),
  }),
})

const ROLES = ["system", "developer", "user", "assistant", "tool"] as const

const message = z.object(
  {
    role: z.enum(ROLES, { error: `one of ${ROLES.join(", ")}` }),
    content: text.nullish().transform((content) => content ?? ""),
    thinking: text.nullish(),
    images: noImages,
    tool_calls: z.array(toolCall, { error: "a list of tool calls" }).nullish(),
    tool_name: text.nullish(),
    /** `tool_name`'s older name. */
    name: text.nullish(),
    tool_call_id: text.nullish(),
  },
  { error: "an object" },
)

const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"] as const

/** Names that mean nothing here, such as `num_gpu`, are ignored, as Ollama ignores those that it does not know. */
const options = z.object(
  {
    temperature: number.nullish(),
    top_k: number.nullish(),
    top_p: number.nullish(),
    min_p: number.nullish(),
    seed: number.nullish(),
    num_predict: number.nullish(),
    num_ctx: number.nullish(),
    stop: z.union([text, z.array(text)], { error: "a string or a list of strings" }).nullish(),
    repeat_penalty: number.nullish(),
    repeat_last_n: number.nullish(),
    presence_penalty: number.nullish(),
    frequency_penalty: number.nullish(),
  },
  { error: "an object" },
)

const shared = {
  model: z.string({ error: "the name of a model" }).min(1, { error: "the name of a model" }),
  stream: bool.nullish(),
  think: z.union([bool, z.enum(EFFORTS)], { error: `true, false, or one of ${EFFORTS.join(", ")}` }).nullish(),
  format: z
    .union([z.enum(["json", ""]), z.custom<Record<string, unknown>>(isObject)], { error: '"json" or a JSON Schema' })
    .nullish(),
  options: options.nullish(),
  logprobs: bool.nullish(),
  top_logprobs: number.nullish(),
}

/** The body of `/api/chat`. */
export const chatBody = z.object({
  ...shared,
  messages: z.array(message, { error: "a list of messages" }).nullish(),
  tools: z
    .array(
      z.object({
        type: text.nullish(),
        function: z.object({
          name: name(128),
          description: text.nullish(),
          parameters: z.custom<Record<string, unknown>>(isObject, { error: "a JSON Schema" }).nullish(),
        }),
      }),
      { error: "a list of tools" },
    )
    .nullish(),
})

const unused = (why: string) => z.string().max(0, { error: why }).nullish()

/** The body of `/api/generate`. */
export const generateBody = z.object({
  ...shared,
  prompt: text.nullish(),
  system: text.nullish(),
  raw: bool.nullish(),
  images: noImages,
  suffix: unused("nothing: the model does not fill in"),
  template: unused("nothing: the model has one format, which is harmony's; raw: true leaves it out"),
  context: z
    .array(z.unknown(), { error: "a list" })
    .max(0, { error: "nothing: send the conversation to /api/chat instead" })
    .nullish(),
})

export type ChatBody = z.output<typeof chatBody>
export type GenerateBody = z.output<typeof generateBody>
export type SharedBody = Pick<ChatBody, keyof typeof shared>
