import { z } from "zod"
import { chosen, isObject, name, text, unfit } from "../../engine/schemas.js"
import { argumentsOf } from "../call_input.js"

/** A piece of a message, of what kinds the model knows. */
export type Block =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "thinking"; readonly text: string }
  | { readonly type: "tool_use"; readonly id: string; readonly name: string; readonly arguments: string }
  | { readonly type: "tool_result"; readonly tool_use_id: string; readonly content: string }
  /** Means nothing to the model. */
  | { readonly type: "skipped" }

/** The line that Claude Code begins its system prompt with; it changes with each request, and the cache would end there. */
const BILLING = /^x-anthropic-billing-header:.*(\r?\n)?/gim

const READ = "text: the model reads nothing else"

const skipped = z.unknown().transform((): Block => ({ type: "skipped" }))
const textBlock = z.object({ text }).transform(({ text }): Block => ({ type: "text", text }))

const typeOf = (value: unknown) => (isObject(value) && typeof value.type === "string" ? value.type : undefined)

/** The text of something that stands in a list of blocks. */
const textOnly = chosen<string>((value) =>
  typeOf(value) === "text" ? z.object({ text }).transform(({ text }) => text) : unfit("type", READ),
)
const texts = z.array(textOnly, { error: "a string or a list of text blocks" })

/** Text, or text blocks, one after the other. */
const textOrBlocks = chosen<string>((value) =>
  typeof value === "string" ? text : texts.transform((texts) => texts.join("\n\n")),
)

/** A document of text; pages of a PDF are pictures to us. */
const document = z
  .object({
    title: text.nullish(),
    context: text.nullish(),
    source: chosen<string>((value) => {
      if (typeOf(value) === "text") return z.object({ data: text }).transform(({ data }) => data)
      if (typeOf(value) === "content") return z.object({ content: textOrBlocks }).transform(({ content }) => content)
      return unfit("type", READ)
    }),
  })
  .transform(({ title, context, source }) => [title, context, source].filter(Boolean).join("\n\n"))

const searchResult = z
  .object({ title: text, source: text, content: texts })
  .transform(({ title, source, content }) => [title, source, ...content].join("\n\n"))

const toolReference = z
  .object({ tool_name: text })
  .transform(({ tool_name }) => `The tool ${tool_name} is there and can be called.`)

/** What a user or a tool shows the model, as text. */
const shown = chosen<string>((value) => {
  switch (typeOf(value)) {
    case "document":
      return document
    case "search_result":
      return searchResult
    case "tool_reference":
      return toolReference
    default:
      return textOnly
  }
})

const resultContent = chosen<string>((value) =>
  typeof value === "string"
    ? text
    : z.array(shown, { error: "a string or a list of blocks" }).transform((texts) => texts.join("\n\n")),
)

const toolResult = z
  .object({
    tool_use_id: text,
    content: resultContent.nullish(),
    is_error: z.boolean({ error: "true or false" }).nullish(),
  })
  .transform(({ tool_use_id, content, is_error }): Block => {
    const said = content ?? ""
    // Harmony has no mark for failure; most tools say it themselves.
    const isUnsaid = is_error && !/^\W*(\w+_)?error/i.test(said)
    return { type: "tool_result", tool_use_id, content: isUnsaid ? `Error: ${said}` : said }
  })

const toolUse = z
  .object({ id: text, name: name(512), input: z.custom<Record<string, unknown>>(isObject, { error: "an object" }) })
  .transform(({ id, name, input }, context): Block => {
    const args = argumentsOf(input)
    if (args === undefined) context.addIssue({ code: "custom", path: ["input"], message: "an object, in JSON too" })
    return { type: "tool_use", id, name, arguments: args ?? "" }
  })

/** With `display: "omitted"` the client holds the thinking in the signature alone. */
const thinking = z
  .object({ thinking: text, signature: text.nullish() })
  .transform(({ thinking, signature }): Block => ({ type: "thinking", text: thinking || signedText(signature ?? "") }))

/** What only other servers put into a turn. */
const FOREIGN = /^(redacted_thinking|server_tool_use|mcp_tool_use|container_upload|\w+_tool_result)$/

const assistantBlock = chosen<Block>((value) => {
  const type = typeOf(value) ?? ""
  if (type === "text") return textBlock
  if (type === "thinking") return thinking
  if (type === "tool_use") return toolUse
  return FOREIGN.test(type) ? skipped : unfit("type", "text, thinking or tool_use")
})

const userBlock = chosen<Block>((value) =>
  typeOf(value) === "tool_result" ? toolResult : shown.transform((text): Block => ({ type: "text", text })),
)

function content(block: z.ZodType<Block>): z.ZodType<readonly Block[]> {
  const alone = text.transform((text): readonly Block[] => [{ type: "text", text }])
  return chosen((value) =>
    typeof value === "string" ? alone : z.array(block, { error: "a string or a list of blocks" }),
  )
}

export const userContent = content(userBlock)
export const assistantContent = content(assistantBlock)

/** Instructions: a string or text blocks, without what is not meant for the model. */
export const systemText = chosen<string>((value) =>
  typeof value === "string" ? text.transform(withoutBilling) : texts.transform(joinedInstructions),
)

const withoutBilling = (text: string) => text.replace(BILLING, "")

function joinedInstructions(texts: readonly string[]): string {
  return texts.map(withoutBilling).filter(Boolean).join("\n\n")
}

/** Signatures are ours if they begin so, once decoded. */
const MARK = "minerva/1\n"

/** A signature that holds a text; it proves nothing, as whoever talks to a model of one's own may put words into its mouth. */
export function signatureOf(text: string): string {
  const bytes = new TextEncoder().encode(MARK + text)
  let binary = ""
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary)
}

/** The text that a signature holds; empty for one that is not ours. */
export function signedText(signature: string): string {
  try {
    const bytes = Uint8Array.from(atob(signature), (unit) => unit.charCodeAt(0))
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes)
    return text.startsWith(MARK) ? text.slice(MARK.length) : ""
  } catch {
    return ""
  }
}
