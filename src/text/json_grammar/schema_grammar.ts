import { GrammarError } from "../grammar.js"
import { Assertions, textOf } from "./assertions.js"
import { matchingStrings, matchingTexts } from "./automaton.js"
import { type Expression, either, literal, NOTHING, Rules, sequence } from "./ebnf.js"
import { checkExclusive } from "./exclusive.js"
import { FORMATS } from "./formats.js"
import { characterThen, JsonRules, PLAIN, without } from "./json_text.js"
import { type JsonType, SchemaDocument, type SchemaNode } from "./nodes.js"
import { type Bound, numberRange } from "./number_range.js"
import { PatternProblem, parsePattern } from "./regular.js"

/** Each character that is counted costs a compiler some 40 ms with a vocabulary of 200,000 tokens. */
const MAX_LENGTH = 64

/** Items that are counted. */
const MAX_ITEMS = 1000

/** Values inside each other, as far as a schema goes without references back. */
const MAX_DEPTH = 100

/** Formats of numbers that say no more than `type` does. */
const NUMBER_FORMATS: ReadonlySet<unknown> = new Set(["int64", "float", "double"])

let objectGrammar: string | undefined

/** A grammar of the JSON objects. Written once: every tool that is not strict has it, in every turn. */
export function jsonObjectGrammar(): string {
  if (objectGrammar === undefined) {
    const rules = new Rules()
    objectGrammar = rules.write(new JsonRules(rules).object)
  }
  return objectGrammar
}

/**
 * A grammar, in EBNF, of JSON that fits a schema (JSON Schema 2020-12). All it lets through is valid; of what is valid it
 * writes a part: properties in the order in which they are declared, none that are not declared unless
 * `additionalProperties` says so, strings of a pattern without needless escapes, numbers of up to 15 digits.
 *
 * @throws GrammarError for what no answer can be held to
 */
export function jsonSchemaGrammar(schema: unknown): string {
  return new SchemaGrammar(schema).write()
}

class SchemaGrammar {
  private readonly rules = new Rules()
  private readonly json = new JsonRules(this.rules)
  private readonly document: SchemaDocument
  private readonly known = new Map<string, Expression>()
  private readonly waiting: { name: string; nodes: readonly SchemaNode[]; depth: number }[] = []
  private readonly counted = new Map<string, Expression>()
  private depth = 0

  constructor(schema: unknown) {
    this.document = new SchemaDocument(schema)
  }

  write(): string {
    const root = this.value([this.document.root])
    for (let next = this.waiting.pop(); next !== undefined; next = this.waiting.pop()) {
      this.depth = next.depth
      this.rules.define(next.name, this.body(next.nodes))
    }
    return this.rules.write(root)
  }

  /** A rule for what fits all of these schemas: the same for the same ones, so that recursion ends. */
  private value(nodes: readonly SchemaNode[]): Expression {
    if (nodes.length === 0) return this.json.value
    const key = [...new Set(nodes.map((node) => node.pointer))].sort().join("\n")
    const known = this.known.get(key)
    if (known) return known
    if (this.depth >= MAX_DEPTH) throw new GrammarError(nodes[0].path, `is more than ${MAX_DEPTH} values deep`)
    const name = this.rules.fresh()
    this.known.set(key, { rule: name })
    this.waiting.push({ name, nodes, depth: this.depth + 1 })
    return { rule: name }
  }

  private body(nodes: readonly SchemaNode[]): Expression {
    const alternatives = this.document.alternatives(nodes)
    checkExclusive(this.document, alternatives)
    return either(...alternatives.map((way) => this.alternative(new Assertions(this.document, way.nodes))))
  }

  private alternative(said: Assertions): Expression {
    const values = said.values
    if (values) return either(...values.map((value) => literal(textOf(value, ""))))
    return either(...said.writtenTypes.map((type) => this.ofType(type, said)))
  }

  private ofType(type: JsonType, said: Assertions): Expression {
    if (type === "null") return this.json.null
    if (type === "boolean") return this.json.boolean
    if (type === "string") return this.string(said)
    if (type === "object") return this.object(said)
    if (type === "array") return this.array(said)
    return this.number(type, said)
  }

  private number(type: "number" | "integer", said: Assertions): Expression {
    let kind = type
    for (const { value, path } of said.all("multipleOf")) {
      if (value !== 1) throw new GrammarError(path, "only 1 is supported: a number's digits do not show the others")
      kind = "integer"
    }
    let [low, high] = [said.low, said.high]
    for (const { value, path } of said.all("format")) {
      // Formats of strings say nothing about numbers.
      if (NUMBER_FORMATS.has(value) || FORMATS.has(value as string)) continue
      if (value !== "int32") throw new GrammarError(path, `${JSON.stringify(value)} is not supported`)
      kind = "integer"
      low = tighter(low, { value: -(2 ** 31), inclusive: true, path }, (a, b) => a > b)
      high = tighter(high, { value: 2 ** 31 - 1, inclusive: true, path }, (a, b) => a < b)
    }
    if (said.all("format").some(({ value }) => value === "int64")) kind = "integer"
    return low || high ? matchingTexts(this.rules, numberRange(kind, low, high), (low ?? high)!.path) : this.json[kind]
  }

  private string(said: Assertions): Expression {
    const [least, most] = [said.count("minLength", "most"), said.count("maxLength", "least")]
    const patterns = said.all("pattern").map(({ value, path }) => ({ source: value as string, path }))
    const formats = said.all("format").map(({ value, path }) => {
      const source = FORMATS.get(value as string)
      if (source) return { source, path }
      const known = [...FORMATS.keys()].join(", ")
      throw new GrammarError(path, `${JSON.stringify(value)} is not supported: formats are ${known}`)
    })
    const [one, ...others] = new Map([...patterns, ...formats].map((said) => [said.source, said])).values()
    if (!one) return this.counting(least, most)
    if (others.length > 0) throw new GrammarError(others[0].path, "cannot be held beside another pattern or format")
    if (least && least.value > 0) throw new GrammarError(least.path, "cannot be held beside pattern or format")
    if (most) throw new GrammarError(most.path, "cannot be held beside pattern or format: say it in the pattern")
    try {
      return matchingStrings(this.rules, parsePattern(one.source), one.path)
    } catch (error) {
      if (error instanceof PatternProblem) throw new GrammarError(one.path, error.message)
      throw error
    }
  }

  private counting(least: Counted, most: Counted): Expression {
    for (const bound of [least, most]) {
      if (bound && bound.value > MAX_LENGTH) {
        throw new GrammarError(bound.path, `${bound.value} is too long to be counted: at most ${MAX_LENGTH}, or none`)
      }
    }
    if (!least?.value && !most) return this.json.string
    return sequence(
      literal('"'),
      this.charactersLeft(least?.value ?? 0, most?.value ?? Number.POSITIVE_INFINITY, (most ?? least)!.path),
    )
  }

  /** The rest of a string that has still to have, and may still have, so many characters. Strings share these rules. */
  private charactersLeft(least: number, most: number, path: string): Expression {
    if (most < least) return NOTHING
    if (least === 0 && most === Number.POSITIVE_INFINITY) return this.json.characters
    const key = `${least} ${most}`
    const known = this.counted.get(key)
    if (known) return known
    const end = least === 0 ? literal('"') : NOTHING
    const more =
      most === 0 ? NOTHING : this.json.anyCharacterThen(this.charactersLeft(Math.max(0, least - 1), most - 1, path))
    this.rules.countWide(path)
    const rule = this.rules.add(either(end, more))
    this.counted.set(key, rule)
    return rule
  }

  private array(said: Assertions): Expression {
    const [fewest, most] = [said.count("minItems", "most"), said.count("maxItems", "least")]
    for (const bound of [fewest, most]) {
      if (bound && bound.value > MAX_ITEMS) {
        throw new GrammarError(bound.path, `${bound.value} is too much to be counted: at most ${MAX_ITEMS}, or none`)
      }
    }
    const least = fewest?.value ?? 0
    const prefix = said.prefix
    const hasMore = said.all("items").length > 0 || prefix === 0
    const last = Math.min(
      most?.value ?? Number.POSITIVE_INFINITY,
      hasMore ? Number.POSITIVE_INFINITY : Math.max(prefix, least),
    )
    if (last < least) return NOTHING
    const { ws } = this.json
    const end = sequence(ws, literal("]"))
    const comma = sequence(literal(","), ws)
    const unrolled = Number.isFinite(last) ? last : Math.max(prefix, least)
    const loop = { rule: this.rules.fresh() }
    this.rules.define(loop.rule, either(end, sequence(comma, this.value(said.item(prefix)), loop)))
    let rest: Expression = Number.isFinite(last) ? end : loop
    for (let at = unrolled - 1; at > 0; at--) {
      const more = sequence(comma, this.value(said.item(at)), rest)
      rest = this.rules.add(at >= least ? either(end, more) : more)
    }
    const none = least === 0 ? literal("]") : NOTHING
    const some = last === 0 ? NOTHING : sequence(this.value(said.item(0)), rest)
    return sequence(literal("["), ws, either(none, some))
  }

  private object(said: Assertions): Expression {
    const names = said.names
    const required = said.required
    const additional = said.additional
    const fewest = said.count("minProperties", "most")
    const most = said.count("maxProperties", "least")
    if (fewest && fewest.value > Math.max(1, required.size)) {
      throw new GrammarError(fewest.path, "only 1, or as many as are required, is supported")
    }
    if (most && (additional !== null ? most.value > 0 || required.size > 0 : most.value < names.length)) {
      throw new GrammarError(most.path, "is only supported if it is as many as are declared, without additional ones")
    }
    const { ws, space } = this.json
    const end = sequence(ws, literal("}"))
    const comma = sequence(literal(","), ws)
    const member = (name: string) =>
      sequence(literal(`${JSON.stringify(name)}:`), space, this.value(said.property(name)))
    let first: Expression = fewest?.value ? NOTHING : literal("}")
    let rest = end
    if (additional && most?.value !== 0) {
      const more = { rule: this.rules.fresh() }
      const other = sequence(this.otherKey(names), literal(":"), space, this.value(additional))
      this.rules.define(more.rule, either(end, sequence(comma, other, more)))
      first = either(first, sequence(other, more))
      rest = more
    }
    for (const name of [...names].reverse()) {
      const one = member(name)
      const [asFirst, asNext] = [sequence(one, rest), sequence(comma, one, rest)]
      first = this.rules.add(required.has(name) ? asFirst : either(asFirst, first))
      rest = this.rules.add(required.has(name) ? asNext : either(asNext, rest))
    }
    return sequence(literal("{"), ws, first)
  }

  /** A key, without escapes, that is none of `names`. */
  private otherKey(names: readonly string[]): Expression {
    const keys = ["__proto__", ...names].map((name) => [...name].map((character) => character.codePointAt(0)!))
    const characters = { rule: this.rules.fresh() }
    this.rules.define(characters.rule, either(literal('"'), characterThen(PLAIN, characters)))
    // Of each beginning of a key, the keys that go on from there.
    const from = (keys: readonly (readonly number[])[], at: number): Expression => {
      const next = new Map<number, (readonly number[])[]>()
      for (const key of keys) {
        if (key.length === at) continue
        const alike = next.get(key[at])
        if (alike) alike.push(key)
        else next.set(key[at], [key])
      }
      const others = without(
        PLAIN,
        [...next.keys()].map((code) => [code, code] as const),
      )
      const end = keys.some((key) => key.length === at) ? NOTHING : literal('"')
      const along = [...next]
        .filter(([code]) => PLAIN.some(([low, high]) => code >= low && code <= high))
        .map(([code, keys]) => sequence(literal(String.fromCodePoint(code)), from(keys, at + 1)))
      return this.rules.add(either(end, characterThen(others, characters), ...along))
    }
    if (keys.some((key) => key.length > MAX_KEY)) {
      throw new GrammarError("", `has a property of more than ${MAX_KEY} characters beside additional ones`)
    }
    return sequence(literal('"'), from(keys, 0))
  }
}

/** The longest name that is told from additional ones. */
const MAX_KEY = 256

type Counted = { readonly value: number; readonly path: string } | null

function tighter(bound: Bound | null, other: Bound, isTighter: (a: number, b: number) => boolean): Bound {
  return bound && !isTighter(other.value, bound.value) ? bound : other
}
