import { GrammarError } from "./grammar.js"
import { recipientOf } from "./harmony_names.js"
import type { HarmonyTokens } from "./harmony_render.js"
import { jsonObjectGrammar, jsonSchemaGrammar } from "./json_grammar/schema_grammar.js"
import type { ConversationOptions, Tool, ToolChoice } from "./messages.js"
import { SortedTexts } from "./sorted_texts.js"
import { byteString } from "./token_texts.js"

/** What a message's text may be, and how it ends. */
export interface Body {
  /** Its grammar's place among those of the turn; null for any text. */
  readonly grammar: number | null
  readonly end: "end" | "return" | "call"
  /** Whether it may have no text: "once" unless the message before had none either. */
  readonly mayBeEmpty: "always" | "once" | "never"
}

/** What a turn may consist of: messages with these headers, until one ends the turn. */
export interface TurnPlan {
  /** From `<|start|>` to `<|message|>`. A character is a byte of the text, or a mark. */
  readonly headers: SortedTexts
  /** Of the messages with these headers. */
  readonly bodies: readonly Body[]
  readonly grammars: readonly string[]
}

const MARKED = ["start", "channel", "constrain", "message"] as const
const FIRST_MARK = 0x100
const [START, CHANNEL, CONSTRAIN, MESSAGE] = MARKED.map((_, i) => String.fromCharCode(FIRST_MARK + i))

/** The token that a header's character above 255 stands for. */
export function tokenOfMark(mark: number, tokens: HarmonyTokens): number {
  return tokens[MARKED[mark - FIRST_MARK]]
}

/** The character that stands for a token in a header; undefined for one that has no place there. */
export function markOfToken(token: number, tokens: HarmonyTokens): string | undefined {
  const at = MARKED.findIndex((name) => tokens[name] === token)
  return at === -1 ? undefined : String.fromCharCode(FIRST_MARK + at)
}

const THOUGHT: Body = { grammar: null, end: "end", mayBeEmpty: "once" }
const PREAMBLE: Body = { grammar: null, end: "end", mayBeEmpty: "never" }

/**
 * The messages that a turn's options leave the model. Thoughts are always among them. A preamble stands before calls, so that it
 * needs tools to call; beside a response format there is none, as it would be read together with the answer.
 *
 * @param canCompile whether grammars can be followed: functions that are not strict do without
 * @throws {GrammarError} naming the tool or the format that cannot be enforced
 */
export function planTurn(options: ConversationOptions, canCompile: boolean): TurnPlan {
  const { tools = [], tool_choice = "auto", response_format = { type: "text" } } = options
  const grammars = new Grammars(canCompile)
  const declared = new Set(tools.map(({ name }) => name))
  const called = new Set(calledNames(tool_choice, declared))
  const mustCall =
    called.size > 0 && (typeof tool_choice === "object" ? tool_choice.required : tool_choice === "required")
  const messages = new Map<string, Body>()
  const add = (header: string, body: Body) => messages.set(`${START}assistant${header}${MESSAGE}`, body)
  add(`${CHANNEL}analysis`, THOUGHT)
  if (called.size > 0 && response_format.type === "text") add(`${CHANNEL}commentary`, PREAMBLE)
  if (!mustCall) {
    const grammar = grammars.ofFormat(response_format)
    add(`${CHANNEL}final`, { grammar, end: "return", mayBeEmpty: "always" })
  }
  for (const [i, tool] of tools.entries()) {
    if (!called.has(tool.name)) continue
    const grammar = grammars.ofTool(tool, i)
    const body: Body = { grammar, end: "call", mayBeEmpty: "always" }
    for (const header of callHeaders(recipientOf(tool.name, declared), tool)) add(header, body)
  }
  const headers = [...messages.keys()].sort()
  return {
    headers: new SortedTexts(headers),
    bodies: headers.map((header) => messages.get(header)!),
    grammars: grammars.all,
  }
}

function calledNames(choice: ToolChoice, declared: ReadonlySet<string>): Iterable<string> {
  if (choice === "none") return []
  return typeof choice === "object" ? choice.names : declared
}

/** The recipient stands in the role or in the channel (openai/harmony, docs/format.md, "Receiving tool calls"). */
function callHeaders(recipient: string, { freeform }: Tool): string[] {
  const to = ` to=${byteString(new TextEncoder().encode(recipient))}`
  const types = freeform ? [""] : ["", ` ${CONSTRAIN}json`]
  return types.flatMap((type) => [`${CHANNEL}commentary${to}${type}`, `${to}${CHANNEL}commentary${type}`])
}

const NO_ARGUMENTS = { type: "object", properties: {}, additionalProperties: false }

/** The grammars of a turn, each once. */
class Grammars {
  readonly all: string[] = []
  private readonly places = new Map<string, number>()

  constructor(private readonly canCompile: boolean) {}

  /** @returns its place; null where any text will do */
  ofFormat(format: NonNullable<ConversationOptions["response_format"]>): number | null {
    if (format.type === "text") return null
    const owner = `the response format${format.type === "json_schema" ? ` "${format.name}"` : ""}`
    return this.add("response_format", owner, () =>
      format.type === "json_schema" ? jsonSchemaGrammar(format.schema) : jsonObjectGrammar(),
    )
  }

  /** @param index of the tool among those offered @returns its place; null where any text will do */
  ofTool({ name, parameters = NO_ARGUMENTS, strict, freeform }: Tool, index: number): number | null {
    if (freeform || (!strict && !this.canCompile)) return null
    return this.add(`tools.${index}`, `the tool "${name}"`, () =>
      strict ? jsonSchemaGrammar(parameters) : jsonObjectGrammar(),
    )
  }

  private add(field: string, owner: string, write: () => string): number {
    if (!this.canCompile) {
      throw new GrammarError(
        "",
        "answers cannot be held to a schema here: leave it out, or load the model in Node",
        field,
        owner,
      )
    }
    const grammar = naming(field, owner, write)
    const known = this.places.get(grammar)
    if (known !== undefined) return known
    const place = this.all.push(grammar) - 1
    this.places.set(grammar, place)
    return place
  }
}

function naming(field: string, owner: string, write: () => string): string {
  try {
    return write()
  } catch (error) {
    if (!(error instanceof GrammarError)) throw error
    throw new GrammarError(error.path, error.problem, field, owner)
  }
}
