import * as z from "zod"
import type { ToolParam } from "../../engine/chat_request.js"
import { chosen, isObject, name, text } from "../../engine/schemas.js"
import { toolsSection } from "../../text/harmony_tools.js"
import { RequestError } from "../request_error.js"

export const bool = z.boolean({ error: "true or false" })
export const jsonSchema = z.custom<Record<string, unknown>>(isObject, { error: "a JSON Schema" })

const ownTool = z.object(
  {
    name: name(128),
    description: text.nullish(),
    input_schema: jsonSchema,
    strict: bool.nullish(),
    defer_loading: bool.nullish(),
  },
  { error: "an object" },
)

/** A tool of the client. */
export type ToolDefinition = z.output<typeof ownTool>

/** A tool that can be called from here on, or no longer; `definition` where the message brings it along. */
export interface ToolChange {
  readonly name: string
  readonly isThere: boolean
  readonly definition?: ToolDefinition | null
}

/** Text that the model reads, or a change of its tools that it has to be told of. */
export type Piece = string | ToolChange

/** What finds deferred tools for the model, at Anthropic's. */
const SEARCH = /^tool_search_tool_/

/** Null for tools of Anthropic's own, which have a type and run elsewhere: the model is not told of them. */
export const tool = chosen<ToolDefinition | "search" | null>((value) => {
  const type = isObject(value) ? value.type : undefined
  if (typeof type !== "string" || type === "custom") return ownTool
  return z.unknown().transform(() => (SEARCH.test(type) ? "search" : null))
})

/**
 * The tools of a conversation. Those deferred are told of where a message says that they are there, so that the prompt's beginning,
 * and the cache of it, stays; but where Anthropic's own search would have to find them, which is not here, they are there at once.
 */
export class Toolbox {
  private readonly declared = new Map<string, ToolDefinition>()
  /** Told of in messages. */
  private readonly added = new Set<string>()
  private readonly defers: boolean

  /** @throws {RequestError} when two have one name */
  constructor(tools: readonly (ToolDefinition | "search" | null)[]) {
    this.defers = !tools.includes("search")
    for (const [i, tool] of tools.entries()) {
      if (tool === null || tool === "search") continue
      if (this.declared.has(tool.name)) {
        const param = `tools.${i}.name`
        throw new RequestError("invalid_request", `${param}: a name that no other tool has`, { param })
      }
      this.declared.set(tool.name, tool)
    }
  }

  has(name: string): boolean {
    return this.declared.has(name)
  }

  /** Pieces of a message as the model reads them, after which it can call the tools that they bring. */
  told(pieces: readonly Piece[]): string {
    return pieces
      .map((piece) => (typeof piece === "string" ? piece : this.announced(piece)))
      .filter(Boolean)
      .join("\n\n")
  }

  /** @param chosen a tool that the model is made to call, which has to be there */
  params(chosen?: string): ToolParam[] {
    return [...this.declared.values()].flatMap((tool) => {
      const deferred = this.isDeferred(tool) && tool.name !== chosen
      if (deferred && !this.added.has(tool.name)) return []
      const { name, description, input_schema, strict } = tool
      return [{ name, description, parameters: input_schema, strict, deferred }]
    })
  }

  private isDeferred({ defer_loading }: ToolDefinition): boolean {
    return this.defers && defer_loading === true
  }

  private announced({ name, isThere, definition }: ToolChange): string {
    if (!isThere) return `The tool ${name} is no longer there.`
    if (definition && !this.declared.has(name)) this.declared.set(name, { ...definition, defer_loading: true })
    const tool = this.declared.get(name)
    if (!tool || !this.isDeferred(tool) || this.added.has(name)) return `The tool ${name} is there.`
    this.added.add(name)
    const { description, input_schema } = tool
    return toolsSection([{ name, description: description ?? undefined, parameters: input_schema }])
  }
}
