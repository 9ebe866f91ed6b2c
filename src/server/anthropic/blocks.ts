import * as z from "zod"
import { chosen, isObject, name, text, unfit } from "../../engine/schemas.js"
import { argumentsOf } from "../call_input.js"
import { signedText } from "./signature.js"
import { bool, type Piece, type ToolChange, tool } from "./tools.js"

/** A part of a message, of the kinds that the model knows. */
export type Block =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "change"; readonly change: ToolChange }
  | { readonly type: "thinking"; readonly text: string }
  | { readonly type: "tool_use"; readonly id: string; readonly name: string; readonly arguments: string }
  | {
      readonly type: "tool_result"
      readonly tool_use_id: string
      readonly content: readonly Piece[]
      readonly is_error: boolean
    }
  /** Means nothing to the model. */
  | { readonly type: "skipped" }

/** The line that Claude Code begins its system prompt with; it changes with each request, and the cache would end there. */
const BILLING = /^x-anthropic-billing-header:.*(\r?\n)?/gim

const LIST = "a string or a list of blocks"
const READ = "text, as the model reads nothing else: no images, no PDF files"

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

const toolReference = z.object({ tool_name: text }).transform(({ tool_name }) => ({ name: tool_name, isThere: true }))

/** A whole server's tools are its own business, as the server is. */
const changed = chosen<Omit<ToolChange, "isThere"> | null>((value) => {
  if (typeOf(value) === "tool_reference") return z.object({ name: text })
  if (typeOf(value) !== "tool_definition") return z.unknown().transform(() => null)
  return z
    .object({ definition: tool })
    .transform(({ definition }) => (isObject(definition) ? { name: definition.name, definition } : null))
})
const changeOf = (isThere: boolean) =>
  z.object({ tool: changed }).transform(({ tool }): Piece => (tool ? { ...tool, isThere } : ""))

/** What a user, a tool or the system shows the model. */
const piece = chosen<Piece>((value) => {
  switch (typeOf(value)) {
    case "document":
      return document
    case "search_result":
      return searchResult
    case "tool_reference":
      return toolReference
    case "tool_addition":
      return changeOf(true)
    case "tool_removal":
      return changeOf(false)
    default:
      return textOnly
  }
})

/** Text, or blocks of what can be shown. */
const pieces = chosen<readonly Piece[]>((value) =>
  typeof value === "string" ? text.transform((text) => [text]) : z.array(piece, { error: LIST }),
)

const toolResult = z
  .object({ tool_use_id: text, content: pieces.nullish(), is_error: bool.nullish() })
  .transform(({ tool_use_id, content, is_error }): Block => {
    return { type: "tool_result", tool_use_id, content: content ?? [], is_error: is_error ?? false }
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
const FOREIGN =
  /^(redacted_thinking|server_tool_use|mcp_tool_use|mcp_tool_listing|container_upload|fallback|\w+_tool_result)$/

const assistantBlock = chosen<Block>((value) => {
  const type = typeOf(value) ?? ""
  if (type === "text") return textBlock
  if (type === "thinking") return thinking
  if (type === "tool_use") return toolUse
  return FOREIGN.test(type) ? skipped : unfit("type", "text, thinking or tool_use")
})

const userBlock = chosen<Block>((value) =>
  typeOf(value) === "tool_result"
    ? toolResult
    : piece.transform((piece) =>
        typeof piece === "string" ? { type: "text", text: piece } : { type: "change", change: piece },
      ),
)

function content(block: z.ZodType<Block>): z.ZodType<readonly Block[]> {
  const alone = text.transform((text): readonly Block[] => [{ type: "text", text }])
  return chosen((value) => (typeof value === "string" ? alone : z.array(block, { error: LIST })))
}

export const userContent = content(userBlock)
export const assistantContent = content(assistantBlock)

/** What a message of the system says. */
export const systemContent = pieces

/** Instructions: a string or text blocks, without what is not meant for the model. */
export const systemText = chosen<string>((value) =>
  typeof value === "string" ? text.transform(withoutBilling) : texts.transform(joinedInstructions),
)

const withoutBilling = (text: string) => text.replace(BILLING, "")

function joinedInstructions(texts: readonly string[]): string {
  return texts.map(withoutBilling).filter(Boolean).join("\n\n")
}
