import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { byteTokenizer, encodeHarmony } from "../../test/text/byte_tokenizer.js"
import { FakeCompiler, textFor } from "../../test/text/fake_compiler.js"
import { call, content, joined, reasoning, turnOf, type Whole } from "../../test/text/harmony_turn.js"
import { GrammarError } from "./grammar.js"
import { harmonyFormat } from "./harmony_chat.js"
import { HarmonyParser } from "./harmony_parser.js"
import { harmonyTokens } from "./harmony_render.js"
import { jsonObjectGrammar, jsonSchemaGrammar } from "./json_grammar/schema_grammar.js"
import type { ConversationOptions, ResponseFormat, TokenMask, Tool } from "./messages.js"

/** Tokens across the borders of what headers consist of, inside of characters, and of what they must not hold. */
const PIECES = [
  ..."assistant assist ant analysis anal commentary comment final fin json to= functions. functions.a ctions.python".split(
    " ",
  ),
  ...[
    " to=",
    " to",
    " ",
    "=functions",
    "ab",
    "a.b",
    "  ",
    "final answer",
    "assistant to=functions.a",
    '{"',
    '":1',
    "é",
    "😀",
  ],
  ...["<|end|>", "user", "to=functions.x", "analysis to"],
]
const VOCAB_SIZE = 700
const tokenizer = byteTokenizer(PIECES)
const tokens = harmonyTokens(tokenizer)
const id = (text: string) => tokenizer.specialToken(text)
const SPECIAL = Array.from({ length: tokenizer.vocab_size }, (_, id) => id).filter((id) => tokenizer.isSpecial(id))

const isAllowed = (words: Uint32Array, token: number) => ((words[token >> 5] >>> (token & 31)) & 1) === 1
const listOf = (words: Uint32Array) =>
  Array.from({ length: words.length * 32 }, (_, id) => id).filter((id) => isAllowed(words, id))

function open(options: ConversationOptions, hasCompiler = true) {
  const compiler = new FakeCompiler(tokenizer, VOCAB_SIZE)
  const format = harmonyFormat(tokenizer, undefined, hasCompiler ? compiler : undefined)
  return { compiler, mask: format.constraint!(options, VOCAB_SIZE) }
}

/** Small numbers from a seed (mulberry32). */
function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

/** Draws any of the tokens allowed, special ones more often, until the turn ends; null for one that does not. */
function drawTurn(mask: TokenMask, seed: number): number[] | null {
  const random = randomFrom(seed)
  const drawn: number[] = []
  while (drawn.length < 4000) {
    const allowed = listOf(mask.allowed())
    expect(allowed).not.toEqual([])
    const special = allowed.filter((token) => tokenizer.isSpecial(token))
    const choice = special.length > 0 && random(20) === 0 ? special : allowed
    const token = choice[random(choice.length)]
    mask.accept(token)
    drawn.push(token)
    if (token === tokens.return || token === tokens.call) return drawn
  }
  return null
}

interface Written {
  /** As it is written between `assistant` and `<|message|>`, marks spelled. */
  readonly header: string
  readonly body: readonly number[]
  readonly end: number
}

/** Cuts a turn at its special tokens, strictly. */
function messagesOf(drawn: readonly number[], opened = ""): Written[] {
  const all = [...encodeHarmony(tokenizer, `<|start|>assistant${opened}`), ...drawn]
  const messages: Written[] = []
  for (let at = 0; at < all.length; ) {
    const message = all.indexOf(tokens.message, at)
    const end = all.findIndex((token, i) => i > message && SPECIAL.includes(token))
    const header = /^<\|start\|>assistant(.*)$/s.exec(tokenizer.decode(all.slice(at, message)))
    expect(header).not.toBeNull()
    messages.push({ header: header![1], body: all.slice(message + 1, end), end: all[end] })
    at = end + 1
  }
  return messages
}

const MESSAGE =
  /^(?:<\|channel\|>(analysis|commentary|final)|(?: to=(\S+?)<\|channel\|>commentary|<\|channel\|>commentary to=(\S+?))( <\|constrain\|>json)?)$/

const SCHEMA = { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
const tool = fc.record(
  {
    name: fc.constantFrom(
      "a",
      "ab",
      "a.b",
      "a-b",
      "python",
      "browser.search",
      "functions.a",
      "functions",
      "é",
      "final",
      "user",
    ),
    parameters: fc.constantFrom(SCHEMA, { type: "object", properties: {} }),
    strict: fc.boolean(),
    freeform: fc.boolean(),
  },
  { requiredKeys: ["name"] },
)
const formats: readonly ResponseFormat[] = [
  { type: "text" },
  { type: "json_object" },
  { type: "json_schema", name: "answer", schema: SCHEMA },
]
const options: fc.Arbitrary<ConversationOptions> = fc
  .record({
    tools: fc.uniqueArray(tool, { maxLength: 5, selector: ({ name }) => name }),
    choice: fc.constantFrom("none" as const, "auto" as const, "required" as const, true, false),
    some: fc.nat({ max: 31 }),
    response_format: fc.constantFrom(...formats),
    reasoning_effort: fc.constantFrom("none" as const, "low" as const),
  })
  .map(({ tools, choice, some, response_format, reasoning_effort }) => {
    const names = tools.map(({ name }) => name).filter((_, i) => ((some >> i) & 1) === 1)
    const isNamed = typeof choice === "boolean" && names.length > 0
    const isPlain = typeof choice === "string" && (choice !== "required" || tools.length > 0)
    const tool_choice = isNamed ? { names, required: choice } : isPlain ? choice : undefined
    return { tools, tool_choice, response_format, reasoning_effort }
  })
  .filter(({ tools, response_format }) => tools.length > 0 || response_format.type !== "text")

/** What a parser must make of a turn, told from the strict reading of it. */
function meaningOf(messages: readonly Written[], names: ReadonlyMap<string, Tool>): Whole[] {
  return joined(
    messages.flatMap(({ header, body }) => {
      const [, channel, before, behind] = MESSAGE.exec(header)!
      const text = tokenizer.decode(body)
      const name = names.get(before ?? behind)?.name
      if (name !== undefined) return [call(name, text)]
      if (text === "") return []
      return [channel === "analysis" ? reasoning(text) : content(text)]
    }),
  )
}

describe("a turn that anything is drawn for, of what is allowed", () => {
  it.each([true, false])("keeps framing, choice and format; compiler: %s", async (hasCompiler) => {
    let ended = 0
    await fc.assert(
      fc.asyncProperty(options, fc.nat(), async (given, seed) => {
        const { tools = [], tool_choice = "auto", response_format, reasoning_effort } = given
        const isHeld = response_format?.type !== "text"
        const options = hasCompiler
          ? given
          : { ...given, response_format: undefined, tools: tools.map((tool) => ({ ...tool, strict: false })) }
        if (!hasCompiler && tools.length === 0) return
        const { compiler, mask: opening } = open(options, hasCompiler)
        const mask = (await opening)!
        const drawn = drawTurn(mask, seed)
        mask.close!()
        expect(compiler.open).toBe(0)
        if (!drawn) return
        ended++
        const isOpened = tools.length === 0 && reasoning_effort === "none"
        const messages = messagesOf(drawn, isOpened ? "<|channel|>final<|message|>" : "")
        const called = new Map(tools.map((tool) => [`functions.${tool.name}`, tool]))
        let wasEmpty = false
        for (const [i, { header, body, end }] of messages.entries()) {
          const match = MESSAGE.exec(header)
          expect(match).not.toBeNull()
          const [, channel, before, behind, type] = match!
          const text = tokenizer.decode(body)
          const isLast = i === messages.length - 1
          expect(wasEmpty && body.length === 0 && !isLast).toBe(false)
          wasEmpty = body.length === 0
          expect(isLast).toBe(end !== tokens.end)
          const tool = called.get(before ?? behind)
          if (channel === undefined) {
            expect(tool_choice).not.toBe("none")
            expect(end).toBe(tokens.call)
            if (typeof tool_choice === "object") expect(tool_choice.names).toContain(tool!.name)
            if (tool!.freeform) expect(type).toBeUndefined()
            else if (hasCompiler) {
              const grammar = tool!.strict ? jsonSchemaGrammar(tool!.parameters ?? NOTHING) : jsonObjectGrammar()
              expect(text.trimEnd()).toBe(textFor(grammar))
            }
          } else if (channel === "final") {
            expect(end).toBe(tokens.return)
            const mustCall = tool_choice === "required" || (typeof tool_choice === "object" && tool_choice.required)
            expect(mustCall).toBe(false)
            if (isHeld && hasCompiler) {
              const isSchema = response_format?.type === "json_schema"
              expect(text.trimEnd()).toBe(
                textFor(isSchema ? jsonSchemaGrammar(response_format.schema) : jsonObjectGrammar()),
              )
            }
          } else {
            expect(end).toBe(tokens.end)
            if (channel !== "commentary") continue
            expect(body.length).toBeGreaterThan(0)
            expect(tool_choice).not.toBe("none")
            expect(isHeld && hasCompiler).toBe(false)
          }
        }
        const names = new Set(tools.map(({ name }) => name))
        const parser = new HarmonyParser(tokenizer, tokens, names)
        const opened = isOpened ? encodeHarmony(tokenizer, "<|channel|>final<|message|>") : []
        const events = [...opened, ...drawn].flatMap((token) => [...parser.push(token)])
        const headers = events.flatMap((event) => (event.type === "start" ? [event.header] : []))
        expect(headers).toHaveLength(messages.length)
        for (const header of headers) expect(header).toMatchObject({ role: "assistant", text: "" })
        expect(turnOf(drawn, tokenizer, options)).toEqual(meaningOf(messages, called))
      }),
      { numRuns: 300 },
    )
    expect(ended).toBeGreaterThan(250)
  })
})

const NOTHING = { type: "object", properties: {}, additionalProperties: false }
const plain: Tool = { name: "get_weather", parameters: SCHEMA }

/** What may follow a text, written as harmony spells it. */
async function following(text: string, options: ConversationOptions, hasCompiler = true) {
  const mask = (await open(options, hasCompiler).mask)!
  for (const token of encodeHarmony(tokenizer, text)) mask.accept(token)
  return { mask, next: new Set(listOf(mask.allowed())) }
}

describe("the tokens allowed", () => {
  it("are those that begin a header, in any tokens", async () => {
    const { next } = await following("", { tools: [{ name: "a" }] })
    const words = [...next].map((id) => tokenizer.decode([id]))
    expect(words.sort()).toEqual([" ", " to", " to=", "<|channel|>"])
    const channel = await following("<|channel|>", { tools: [{ name: "a" }] })
    const names = [...channel.next].map((id) => tokenizer.decode([id]))
    expect(names.sort()).toEqual(["a", "anal", "analysis", "c", "comment", "commentary", "f", "fin", "final"])
  })

  it("hold no control tokens, and no ids that the tokenizer has not, in a text", async () => {
    const { next } = await following("<|channel|>analysis<|message|>", { tools: [plain] })
    const texts = Array.from({ length: tokenizer.vocab_size }, (_, id) => id).filter(
      (id) => tokenizer.bytesOf(id).length > 0 && !SPECIAL.includes(id),
    )
    expect(next).toEqual(new Set([...texts, id("<|end|>")]))
  })

  it("are as many as the model has, and none beyond what it knows", async () => {
    for (const vocab_size of [320, 405, 1000]) {
      const mask = (await harmonyFormat(tokenizer).constraint!({ tools: [plain] }, vocab_size))!
      for (const text of ["", "<|channel|>", "analysis", "<|message|>"]) {
        for (const token of encodeHarmony(tokenizer, text)) mask.accept(token)
        const words = mask.allowed()
        expect(words).toHaveLength(Math.ceil(vocab_size / 32))
        expect(listOf(words).every((token) => token < vocab_size)).toBe(true)
      }
    }
  })

  it("end an analysis without a word once, not twice in a row", async () => {
    const empty = "<|channel|>analysis<|message|>"
    const once = await following(empty, { tools: [plain] })
    expect(once.next.has(id("<|end|>"))).toBe(true)
    const twice = await following(`${empty}<|end|><|start|>assistant${empty}`, { tools: [plain] })
    expect(twice.next.has(id("<|end|>"))).toBe(false)
    const later = await following(`${empty}<|end|><|start|>assistant${empty}x<|end|><|start|>assistant${empty}`, {
      tools: [plain],
    })
    expect(later.next.has(id("<|end|>"))).toBe(true)
  })

  it("do not end a preamble without a word", async () => {
    const preamble = "<|channel|>commentary<|message|>"
    expect((await following(preamble, { tools: [plain] })).next.has(id("<|end|>"))).toBe(false)
    expect((await following(`${preamble}x`, { tools: [plain] })).next.has(id("<|end|>"))).toBe(true)
  })

  it("stay what they are in a text of any tokens, until its end", async () => {
    const steady = async (text: string) => {
      const { mask } = await following(text, { tools: [plain, { name: "e", freeform: true }] })
      return mask.steadyUntil && [...mask.steadyUntil]
    }
    expect(await steady("<|channel|>final")).toBeNull()
    expect(await steady("<|channel|>commentary<|message|>")).toBeNull()
    expect(await steady("<|channel|>commentary<|message|>x")).toEqual([tokens.end])
    expect(await steady("<|channel|>analysis<|message|>")).toEqual([tokens.end])
    expect(await steady("<|channel|>final<|message|>")).toEqual([tokens.return])
    expect(await steady("<|channel|>commentary to=functions.e<|message|>")).toEqual([tokens.call])
    expect(await steady("<|channel|>commentary to=functions.get_weather<|message|>")).toBeNull()
  })

  it("are the answer's where the prompt opened it", async () => {
    const { next } = await following("", { response_format: { type: "json_object" }, reasoning_effort: "none" })
    expect([...next].map((id) => tokenizer.decode([id])).sort()).toEqual(["{", '{"'])
  })
})

describe("what a turn needs", () => {
  it("is nothing without tools and formats", async () => {
    expect(await open({}).mask).toBeUndefined()
    expect(await open({ tools: [], response_format: { type: "text" } }).mask).toBeUndefined()
  })

  it("is compiled together, each grammar once, and opened when its text begins", async () => {
    const strict = { strict: true, parameters: SCHEMA }
    const { compiler, mask } = open({
      tools: [plain, { name: "b" }, { name: "c", ...strict }, { name: "d", ...strict }, { name: "e", freeform: true }],
      response_format: { type: "json_schema", name: "s", schema: SCHEMA },
    })
    const turn = (await mask)!
    expect(compiler.compiled).toHaveLength(1)
    expect(new Set(compiler.compiled[0])).toEqual(new Set([jsonObjectGrammar(), jsonSchemaGrammar(SCHEMA)]))
    expect(compiler.compiled[0]).toHaveLength(2)
    expect(compiler.matchers).toBe(0)
    for (const token of encodeHarmony(tokenizer, " to=functions.c<|channel|>commentary<|message|>")) turn.accept(token)
    expect(compiler.matchers).toBe(1)
    turn.close!()
    expect(compiler.open).toBe(0)
  })

  it.each<[string, ConversationOptions, string]>([
    ["a format", { response_format: { type: "json_schema", name: "answer", schema: SCHEMA } }, "response_format"],
    ["JSON", { response_format: { type: "json_object" } }, "response_format"],
    ["a strict tool", { tools: [plain, { name: "b", strict: true, parameters: SCHEMA }] }, "tools.1"],
  ])("is refused without a compiler: %s", async (_, options, field) => {
    const error: unknown = await open(options, false).mask.catch((error: unknown) => error)
    expect(error).toBeInstanceOf(GrammarError)
    expect(error).toMatchObject({ field, message: expect.stringMatching(/^the (response format|tool)/) })
  })
})

it("thousands of tools with long names take no time to speak of", async () => {
  const tools = Array.from({ length: 5000 }, (_, i) => ({ name: `${"long_".repeat(20)}${i}` }))
  const { mask, next } = await following(`<|channel|>commentary to=functions.${"long_".repeat(20)}`, { tools })
  expect(next).toEqual(new Set(encodeHarmony(tokenizer, "0123456789")))
  for (const token of encodeHarmony(tokenizer, "4321 <|constrain|>json<|message|>")) mask.accept(token)
})
