import { GrammarError } from "../grammar.js"

/** A piece of a grammar. */
export type Expression =
  | { readonly terminal: string }
  | { readonly rule: string }
  | { readonly sequence: readonly Expression[] }
  | { readonly either: readonly Expression[] }

/** Matches the empty text. */
export const EMPTY: Expression = { sequence: [] }

/** Matches no text at all. */
export const NOTHING: Expression = { either: [] }

/** What a grammar may grow to: compiling takes time and memory in proportion. */
const MAX_RULES = 20_000
const MAX_CHARACTERS = 1 << 20

/** Places where nearly any character may stand: each costs a compiler some 40 ms with a vocabulary of 200,000 tokens. */
const MAX_WIDE = 200

/**
 * A text. What is not printable ASCII stands there byte by byte: xgrammar writes such characters of a text as escapes, and
 * reads these again with all hexadecimal digits that follow.
 */
export function literal(text: string): Expression {
  const parts = text.match(/[ -~\n]+|[^ -~\n]+/g) ?? []
  const pieces = parts.flatMap((part): Expression[] =>
    /^[ -~\n]/.test(part)
      ? [{ terminal: `"${[...part].map((character) => escaped(character, '"')).join("")}"` }]
      : [...new TextEncoder().encode(part)].map((byte) => byteOf(byte, byte)),
  )
  return pieces.length === 1 ? pieces[0] : { sequence: pieces }
}

/** Ranges of code points, both ends included, in order and apart. */
export type Ranges = readonly (readonly [number, number])[]

/** A character of ASCII, by code point. */
export function asciiOf(ranges: Ranges): Expression {
  if (ranges.length === 0) return NOTHING
  const one = (code: number) => escaped(String.fromCodePoint(code), "-]^[")
  return { terminal: `[${ranges.map(([from, to]) => (from === to ? one(from) : `${one(from)}-${one(to)}`)).join("")}]` }
}

/**
 * A byte from `from` to `to`. xgrammar takes the ends of a range in a class for bytes, but a class of one
 * member for a character: such a byte stands there twice.
 */
export function byteOf(from: number, to: number): Expression {
  const range = `\\x${from.toString(16)}-\\x${to.toString(16)}`
  return { terminal: from === to ? `[${range}${range}]` : `[${range}]` }
}

export function sequence(...parts: readonly Expression[]): Expression {
  return { sequence: parts }
}

export function either(...parts: readonly Expression[]): Expression {
  return { either: parts }
}

/** Rules by name, of which one is the root. */
export class Rules {
  private readonly rules = new Map<string, Expression>()
  private names = 0
  private wide = 0

  /** A name that no other rule has. */
  fresh(): string {
    if (++this.names > MAX_RULES) throw new GrammarError("", "is too large to hold an answer to: make it smaller")
    return `r${this.names}`
  }

  /** Counts a place where nearly any character may stand. */
  countWide(path: string): void {
    if (++this.wide > MAX_WIDE) {
      throw new GrammarError(
        path,
        `takes the schema over ${MAX_WIDE} characters that are counted: ask for fewer or shorter ones`,
      )
    }
  }

  define(name: string, body: Expression): Expression {
    this.rules.set(name, body)
    return { rule: name }
  }

  add(body: Expression): Expression {
    return this.define(this.fresh(), body)
  }

  /**
   * As EBNF, without what can never end.
   *
   * @throws GrammarError if nothing that the root describes ever ends
   */
  write(root: Expression): string {
    this.define("root", root)
    const finite = this.finite()
    if (!finite.has("root")) throw new GrammarError("", "has no finite value: no answer can ever be complete")
    const lines: string[] = []
    const said = new Set(["root"])
    let size = 0
    for (const name of said) {
      const body = written(this.rules.get(name)!, finite, said)
      lines.push(`${name} ::= ${body}\n`)
      size += body.length
      if (size > MAX_CHARACTERS) throw new GrammarError("", "is too large to hold an answer to: make it smaller")
    }
    return lines.join("")
  }

  /** The rules that some finite text matches. */
  private finite(): Set<string> {
    const users = new Map<string, string[]>()
    for (const [name, body] of this.rules) {
      for (const used of rulesIn(body)) {
        const others = users.get(used)
        if (others) others.push(name)
        else users.set(used, [name])
      }
    }
    const finite = new Set<string>()
    const waiting = [...this.rules.keys()].reverse()
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      if (finite.has(name) || !ends(this.rules.get(name)!, finite)) continue
      finite.add(name)
      for (const user of users.get(name) ?? []) waiting.push(user)
    }
    return finite
  }
}

function rulesIn(body: Expression): Set<string> {
  const found = new Set<string>()
  const waiting = [body]
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    if ("rule" in part) found.add(part.rule)
    if ("sequence" in part) for (const one of part.sequence) waiting.push(one)
    if ("either" in part) for (const one of part.either) waiting.push(one)
  }
  return found
}

function ends(body: Expression, finite: ReadonlySet<string>): boolean {
  if ("rule" in body) return finite.has(body.rule)
  if ("sequence" in body) return body.sequence.every((part) => ends(part, finite))
  if ("either" in body) return body.either.some((part) => ends(part, finite))
  return true
}

function written(body: Expression, finite: ReadonlySet<string>, said: Set<string>): string {
  if ("terminal" in body) return body.terminal
  if ("rule" in body) {
    said.add(body.rule)
    return body.rule
  }
  if ("sequence" in body) {
    const parts = body.sequence.map((part) => written(part, finite, said)).filter((part) => part !== '""')
    return parts.length === 0 ? '""' : parts.join(" ")
  }
  const parts = body.either.filter((part) => ends(part, finite)).map((part) => written(part, finite, said))
  const different = [...new Set(parts)]
  return different.length === 1 ? different[0] : `(${different.map((part) => `(${part})`).join(" | ")})`
}

function escaped(character: string, special: string): string {
  if (character === "\n") return "\\n"
  return character === "\\" || special.includes(character) ? `\\${character}` : character
}
