import * as z from "zod"
import { asJson } from "../../engine/errors.js"
import { chosen, isObject, name, text, unfit } from "../../engine/schemas.js"
import { type CallOutput, type FunctionCall, type InputMessage, type Item, itemId, unsealed } from "./items.js"
import type { OutputMessage, ReasoningItem } from "./items.js"

/** An item of a response that is kept: Vercel's clients refer to what they had before. */
export interface ItemReference {
  readonly type: "item_reference"
  readonly id: string
}

/** As parsed: an id may be missing. Null is skipped. */
type Unnamed<T> = T extends Item ? Omit<T, "id"> & { readonly id?: string } : never
export type GivenItem = Unnamed<Item> | ItemReference | null

/** Longest name in a conversation: the model may have called what was never declared. */
const MAX_CALLED_NAME = 512

const id = text.nullish().transform((id) => id ?? undefined)
const call_id = text.min(1, { error: "the id of a call" })
const called = name(MAX_CALLED_NAME)

const TEXTS = ["input_text", "output_text", "text", "summary_text", "reasoning_text"]
const textPart = z.object({ text }).transform((part) => part.text)
const refusalPart = z.object({ refusal: text }).transform((part) => part.refusal)

/** Text, or parts of it, which follow each other. */
function content(type: string): z.ZodType<string> {
  const part = chosen<string>((value) => {
    const found = isObject(value) ? value.type : undefined
    if (typeof found === "string" && TEXTS.includes(found)) return textPart
    return found === "refusal" ? refusalPart : unfit("type", `"${type}": the model reads nothing else`)
  })
  const parts = z.array(part, { error: "a string or a list of content parts" }).transform((texts) => texts.join(""))
  return chosen((value) => (typeof value === "string" ? text : parts))
}

const inputMessage = z
  .object({ role: z.enum(["user", "system", "developer"]), content: content("input_text"), id })
  .transform(
    ({ role, content, id }): Unnamed<InputMessage> => ({
      type: "message",
      role,
      content: [{ type: "input_text", text: content }],
      status: "completed",
      id,
    }),
  )

const outputMessage = z.object({ content: content("output_text"), id }).transform(
  ({ content, id }): Unnamed<OutputMessage> => ({
    type: "message",
    role: "assistant",
    content: [{ type: "output_text", text: content, annotations: [], logprobs: [] }],
    status: "completed",
    id,
  }),
)

const message = chosen<Unnamed<InputMessage | OutputMessage>>((value) => {
  const role = isObject(value) ? value.role : undefined
  if (role === "assistant") return outputMessage
  const known = ["user", "system", "developer"]
  return known.includes(String(role)) ? inputMessage : unfit("role", `one of ${known.join(", ")}, assistant`)
})

const thoughts = content("reasoning_text").nullish()

/** What another server encrypted says nothing here: such reasoning is as good as dropped, which it is anyway once a turn is over. */
const reasoning = z
  .object({ id, content: thoughts, summary: thoughts, encrypted_content: text.nullish() })
  .transform(({ id, content, summary, encrypted_content }): Unnamed<ReasoningItem> => {
    const thought = content || unsealed(encrypted_content ?? "") || summary || ""
    const parts = thought ? [{ type: "reasoning_text", text: thought } as const] : []
    return { type: "reasoning", id, summary: [], content: parts, status: "completed" }
  })

const functionCall = z
  .object({ id, call_id, name: called, arguments: text })
  .transform((call): Unnamed<FunctionCall> => ({ type: "function_call", status: "completed", ...call }))

const customCall = z
  .object({ id, call_id, name: called, input: text })
  .transform((call) => ({ type: "custom_tool_call", status: "completed", ...call }) as const)

const output = (type: CallOutput["type"]) =>
  z
    .object({ id, call_id, output: content("input_text") })
    .transform((result): Unnamed<CallOutput> => ({ type, status: "completed", ...result }))

/** OpenAI's own tools that clients run: what they were called with, under which name. */
const CLIENT_TOOLS: Record<string, string> = {
  local_shell_call: "action",
  shell_call: "action",
  apply_patch_call: "operation",
}

/** A call of one of OpenAI's own tools is told as that of a function. */
const clientCall = (type: string) =>
  z.object({ id, call_id, [CLIENT_TOOLS[type]]: z.unknown() }).transform((item, context): Unnamed<FunctionCall> => {
    const told = asJson(item[CLIENT_TOOLS[type]])
    if (told === undefined) context.addIssue({ code: "custom", path: [CLIENT_TOOLS[type]], message: "an object" })
    const name = type.slice(0, -"_call".length)
    return {
      type: "function_call",
      id: item.id as string | undefined,
      call_id: item.call_id as string,
      name,
      arguments: told ?? "{}",
      status: "completed",
    }
  })

/** Shells answer with a list of what each command wrote. */
const clientOutput = z
  .object({ id, call_id: text.nullish(), output: z.unknown() })
  .transform(({ id, call_id, output }, context): Unnamed<CallOutput> => {
    const told = typeof output === "string" ? output : asJson(output)
    const item = { type: "function_call_output", status: "completed", id, call_id: call_id ?? id ?? "" } as const
    if (told === undefined) context.addIssue({ code: "custom", path: ["output"], message: "a string or a list" })
    return { ...item, output: told ?? "" }
  })

/** What OpenAI's servers did on their own. The model is not told; the client's history may hold it from another server. */
const SKIPPED = new Set([
  "additional_tools",
  "code_interpreter_call",
  "compaction",
  "computer_call",
  "computer_call_output",
  "file_search_call",
  "image_generation_call",
  "mcp_approval_request",
  "mcp_approval_response",
  "mcp_call",
  "mcp_list_tools",
  "tool_search_call",
  "tool_search_output",
  "web_search_call",
])

const reference = z
  .object({ id: text.min(1, { error: "the id of an item" }) })
  .transform(({ id }): ItemReference => ({ type: "item_reference", id }))

const KINDS: Record<string, z.ZodType<GivenItem>> = {
  message,
  reasoning,
  function_call: functionCall,
  function_call_output: output("function_call_output"),
  custom_tool_call: customCall,
  custom_tool_call_output: output("custom_tool_call_output"),
  item_reference: reference,
  ...Object.fromEntries(Object.keys(CLIENT_TOOLS).map((type) => [type, clientCall(type)])),
  ...Object.fromEntries(Object.keys(CLIENT_TOOLS).map((type) => [`${type}_output`, clientOutput])),
}

const item = chosen<GivenItem>((value) => {
  if (!isObject(value)) return z.never({ error: "an item: an object" })
  const type = value.type ?? ("role" in value ? "message" : "id" in value ? "item_reference" : undefined)
  if (typeof type !== "string") return unfit("type", "a string")
  if (SKIPPED.has(type)) return z.unknown().transform(() => null)
  if (Object.hasOwn(KINDS, type)) return KINDS[type]
  return unfit("type", `one of ${Object.keys(KINDS).join(", ")}`)
})

const items = z.array(item, { error: "a string or a list of items" })
const plain = text.transform((said): GivenItem[] => [
  { type: "message", role: "user", content: [{ type: "input_text", text: said }], status: "completed" },
])

/** `input`: one entry for each item, whose indices errors name. */
export const input = chosen<GivenItem[]>((value) => (typeof value === "string" ? plain : items))

/** Gives an item of a response's input its id, unless the client did. */
export function identified(item: Unnamed<Item>, response: string, index: number): Item {
  return { ...item, id: item.id || itemId(item.type, response, `in${index}`) } as Item
}
