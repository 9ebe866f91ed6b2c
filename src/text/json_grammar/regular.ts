import type { Ranges } from "./ebnf.js"
import { ANY_CHARACTER, LAST_CODE, without } from "./json_text.js"

/** A regular expression's tree. */
export type Regular =
  | { readonly characters: Ranges }
  | { readonly all: readonly Regular[] }
  | { readonly any: readonly Regular[] }
  | { readonly repeated: Regular; readonly least: number; readonly most: number }
  | { readonly edge: "start" | "end" }

const point = (character: string) => character.codePointAt(0)!
const range = (from: string, to = from) => [point(from), point(to)] as const

export const EMPTY_TEXT: Regular = { all: [] }
export const NO_TEXT: Regular = { any: [] }

export const sequence = (...all: readonly Regular[]): Regular => ({ all })
export const either = (...any: readonly Regular[]): Regular => ({ any })
export const times = (repeated: Regular, least: number, most: number): Regular => ({ repeated, least, most })
export const writtenAs = (text: string): Regular => ({ all: [...text].map((one) => ({ characters: [range(one)] })) })

/** Why a pattern cannot be followed. */
export class PatternProblem extends Error {}

const MAX_DEPTH = 64
const MAX_PATTERN = 4096

const DIGITS: Ranges = [range("0", "9")]
const WORD: Ranges = [range("0", "9"), range("A", "Z"), range("_"), range("a", "z")]
const SPACE: Ranges = [
  [9, 13],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]
const CLASSES: Readonly<Record<string, Ranges>> = {
  d: DIGITS,
  D: without(ANY_CHARACTER, DIGITS),
  w: WORD,
  W: without(ANY_CHARACTER, WORD),
  s: SPACE,
  S: without(ANY_CHARACTER, SPACE),
}
const DOT = without(ANY_CHARACTER, [
  [10, 10],
  [13, 13],
  [0x2028, 0x2029],
])
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 }

/**
 * Reads a pattern of ECMA-262 with its flag `u`, as JSON Schema means it.
 *
 * @throws PatternProblem for what is no regular language or not supported
 */
export function parsePattern(source: string): Regular {
  if (source.length > MAX_PATTERN) throw new PatternProblem(`is longer than ${MAX_PATTERN} characters`)
  try {
    new RegExp(source, "u")
  } catch (error) {
    throw new PatternProblem(`is no regular expression: ${(error as Error).message}`)
  }
  return new PatternReader([...source]).read()
}

class PatternReader {
  private at = 0
  private depth = 0

  constructor(private readonly source: readonly string[]) {}

  read(): Regular {
    const read = this.alternatives()
    if (this.at < this.source.length) throw new PatternProblem(`has ${this.source[this.at]} where nothing is open`)
    return read
  }

  private alternatives(): Regular {
    if (++this.depth > MAX_DEPTH) throw new PatternProblem(`has groups more than ${MAX_DEPTH} deep`)
    const any: Regular[] = [this.terms()]
    while (this.take("|")) any.push(this.terms())
    this.depth--
    return any.length === 1 ? any[0] : { any }
  }

  private terms(): Regular {
    const all: Regular[] = []
    while (this.at < this.source.length && this.source[this.at] !== "|" && this.source[this.at] !== ")") {
      all.push(this.quantified(this.atom()))
    }
    return all.length === 1 ? all[0] : { all }
  }

  private atom(): Regular {
    const character = this.source[this.at++]
    if (character === "^") return { edge: "start" }
    if (character === "$") return { edge: "end" }
    if (character === ".") return { characters: DOT }
    if (character === "[") return { characters: this.bracket() }
    if (character === "(") return this.group()
    if (character === "\\") return { characters: this.escape() }
    return { characters: [range(character)] }
  }

  private group(): Regular {
    if (this.take("?")) {
      const kind = this.source[this.at++]
      if (kind === "<" && this.source[this.at] !== "=" && this.source[this.at] !== "!") {
        while (this.source[this.at++] !== ">");
      } else if (kind === "=" || kind === "!" || kind === "<") {
        throw new PatternProblem("looks ahead or behind, which no grammar does")
      } else if (kind !== ":") {
        throw new PatternProblem(`has a group (?${kind}, which is not supported`)
      }
    }
    const inner = this.alternatives()
    this.take(")")
    return inner
  }

  private quantified(atom: Regular): Regular {
    const bounds = this.quantifier()
    if (!bounds) return atom
    // Lazy or not, the same texts match.
    this.take("?")
    return { repeated: atom, least: bounds[0], most: bounds[1] }
  }

  private quantifier(): readonly [number, number] | null {
    if (this.take("*")) return [0, Number.POSITIVE_INFINITY]
    if (this.take("+")) return [1, Number.POSITIVE_INFINITY]
    if (this.take("?")) return [0, 1]
    if (!this.take("{")) return null
    let said = ""
    for (let next = this.source[this.at++]; next !== "}"; next = this.source[this.at++]) said += next
    const [least, most] = said.split(",")
    return [Number(least), most === undefined ? Number(least) : most === "" ? Number.POSITIVE_INFINITY : Number(most)]
  }

  private bracket(): Ranges {
    const negated = this.take("^")
    const found: (readonly [number, number])[] = []
    while (!this.take("]")) {
      const from = this.member()
      if (
        this.source[this.at] === "-" &&
        this.source[this.at + 1] !== "]" &&
        from.length === 1 &&
        from[0][0] === from[0][1]
      ) {
        this.at++
        found.push([from[0][0], this.member()[0][1]])
      } else {
        found.push(...from)
      }
    }
    return without(ANY_CHARACTER, negated ? found : without(ANY_CHARACTER, found))
  }

  private member(): Ranges {
    const character = this.source[this.at++]
    if (character === "\\" && this.take("b")) return [[8, 8]]
    return character === "\\" ? this.escape() : [range(character)]
  }

  private escape(): Ranges {
    const letter = this.source[this.at++]
    if (Object.hasOwn(CLASSES, letter)) return CLASSES[letter]
    if (letter === "b" || letter === "B") throw new PatternProblem(`has \\${letter}, which no grammar checks`)
    if (letter === "k" || /[1-9]/.test(letter))
      throw new PatternProblem("refers back to a group, which no grammar does")
    if (letter === "p" || letter === "P")
      throw new PatternProblem(`has \\${letter}{...}: write the characters as [a-z]`)
    if (Object.hasOwn(CONTROLS, letter)) return [[CONTROLS[letter], CONTROLS[letter]]]
    if (letter === "c") return single(point(this.source[this.at++]) % 32)
    if (letter === "x") return single(this.hex(2))
    if (letter === "u") return single(this.take("{") ? this.braced() : this.unit())
    return [range(letter)]
  }

  private unit(): number {
    const high = this.hex(4)
    const pair = high >= 0xd800 && high <= 0xdbff && this.source[this.at] === "\\" && this.source[this.at + 1] === "u"
    const low = pair ? Number.parseInt(this.source.slice(this.at + 2, this.at + 6).join(""), 16) : 0
    if (!(low >= 0xdc00 && low <= 0xdfff)) return high
    this.at += 6
    return 0x10000 + (high - 0xd800) * 0x400 + (low - 0xdc00)
  }

  private braced(): number {
    const end = this.source.indexOf("}", this.at)
    const code = Number.parseInt(this.source.slice(this.at, end).join(""), 16)
    this.at = end + 1
    return Math.min(code, LAST_CODE)
  }

  private hex(length: number): number {
    this.at += length
    return Number.parseInt(this.source.slice(this.at - length, this.at).join(""), 16)
  }

  private take(character: string): boolean {
    if (this.source[this.at] !== character) return false
    this.at++
    return true
  }
}

const single = (code: number): Ranges => [[code, code]]
