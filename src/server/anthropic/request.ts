import * as z from "zod"
import { chosen, isObject, text, unfit } from "../../engine/schemas.js"
import { assistantContent, systemContent, systemText, userContent } from "./blocks.js"
import { bool, jsonSchema, tool } from "./tools.js"

const oneOf = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, { error: `one of ${values.join(", ")}` })

const MESSAGES = {
  user: z.object({ role: z.literal("user"), content: userContent }),
  assistant: z.object({ role: z.literal("assistant"), content: assistantContent }),
  /** Where it stands; with `clear_at` only until the user speaks again. */
  system: z.object({
    role: z.literal("system"),
    content: systemContent.nullish(),
    clear_at: oneOf(["next_user_message", "never"]).nullish(),
  }),
}

type MessageParam = z.output<(typeof MESSAGES)[keyof typeof MESSAGES]>

const message = chosen<MessageParam>((value) => {
  const role = isObject(value) ? value.role : undefined
  return typeof role === "string" && Object.hasOwn(MESSAGES, role)
    ? MESSAGES[role as keyof typeof MESSAGES]
    : unfit("role", `one of ${Object.keys(MESSAGES).join(", ")}`)
})

const object = { error: "an object" }

const toolChoice = z.object(
  {
    type: oneOf(["auto", "any", "tool", "none"]),
    name: text.nullish(),
    disable_parallel_tool_use: bool.nullish(),
  },
  object,
)

const thinking = z.object(
  {
    type: oneOf(["enabled", "disabled", "adaptive", "between_tools"]),
    budget_tokens: z.number({ error: "a number of tokens" }).nullish(),
    display: oneOf(["summarized", "omitted"]).nullish(),
  },
  object,
)

const format = z.object({ type: z.literal("json_schema", { error: '"json_schema"' }), schema: jsonSchema }, object)

/** What both the answer and the count are made of. Fields that change nothing here, such as `metadata`, may be anything. */
const conversation = {
  model: z.string({ error: "the name of a model" }).min(1, { error: "the name of a model" }),
  messages: z.array(message, { error: "a list of messages" }).min(1, { error: "at least one message" }),
  system: systemText.nullish(),
  tools: z.array(tool, { error: "a list of tools" }).nullish(),
  tool_choice: toolChoice.nullish(),
  thinking: thinking.nullish(),
  output_config: z
    .object({ effort: oneOf(["low", "medium", "high", "xhigh", "max"]).nullish(), format: format.nullish() }, object)
    .nullish(),
  output_format: format.nullish(),
  thread: z.unknown().optional(),
}

const MAX_STOPS = 16

/** The body of `POST /v1/messages/count_tokens`. */
export const countBody = z.object(conversation)

/** The body of `POST /v1/messages`. */
export const messagesBody = z.object({
  ...conversation,
  /** With 0 the prompt is read and nothing is said. */
  max_tokens: z.int({ error: "a whole number of tokens" }).min(0, { error: "a whole number, 0 or more" }),
  stream: bool.nullish(),
  stop_sequences: z
    .array(z.string({ error: "a string" }).min(1, { error: "a string that is not empty" }), {
      error: "a list of strings",
    })
    .max(MAX_STOPS, { error: `at most ${MAX_STOPS} strings` })
    .nullish(),
  temperature: z.number({ error: "a number from 0 to 2" }).nullish(),
  top_p: z.number({ error: "a number from 0 to 1" }).nullish(),
  top_k: z.number({ error: "a whole number, 0 or more" }).nullish(),
})

export type CountBody = z.output<typeof countBody>
export type MessagesBody = z.output<typeof messagesBody>
