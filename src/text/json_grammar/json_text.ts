import { asciiOf, EMPTY, type Expression, either, literal, type Ranges, type Rules, sequence } from "./ebnf.js"
import { utf8 } from "./utf8.js"

export const LAST_CODE = 0x10ffff
const SURROGATES = [0xd800, 0xdfff] as const

/** What a character may be; halves of surrogate pairs are none. */
export const ANY_CHARACTER: Ranges = [
  [0, SURROGATES[0] - 1],
  [SURROGATES[1] + 1, LAST_CODE],
]

export function without(ranges: Ranges, removed: Ranges): Ranges {
  let left = [...ranges]
  for (const [from, to] of removed) {
    left = left.flatMap(([a, b]) => {
      if (b < from || a > to) return [[a, b] as const]
      const parts: [number, number][] = []
      if (a < from) parts.push([a, from - 1])
      if (b > to) parts.push([to + 1, b])
      return parts
    })
  }
  return left
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const ESCAPED: Ranges = [
  [0, 0x1f],
  [QUOTE, QUOTE],
  [BACKSLASH, BACKSLASH],
]

/** Characters that stand for themselves in a string of JSON. */
export const PLAIN = without(ANY_CHARACTER, ESCAPED)

/**
 * One character out of `ranges`, as JSON writes it in a string (what needs no escape has none), and then `next`: alternatives
 * that each end in `next` are followed faster than a choice before it.
 */
export function characterThen(ranges: Ranges, next: Expression): Expression {
  const found = utf8(without(without(ranges, ESCAPED), [SURROGATES])).map((bytes) => sequence(bytes, next))
  for (const [from, to] of ranges) {
    for (let code = from; code <= to && code <= BACKSLASH; code++) {
      if (code < 0x20 || code === QUOTE || code === BACKSLASH) {
        found.push(sequence(literal(JSON.stringify(String.fromCodePoint(code)).slice(1, -1)), next))
      }
    }
  }
  return either(...found)
}

const DIGIT: Ranges = [[0x30, 0x39]]

/** `least` to `most` digits, or other things. */
export function times(one: Expression, least: number, most: number): Expression {
  let rest = EMPTY
  for (let i = least; i < most; i++) rest = either(sequence(one, rest), EMPTY)
  return sequence(...Array.from({ length: least }, () => one), rest)
}

export const digit = asciiOf(DIGIT)

/** What of JSON does not depend on a schema. Strings recurse to the right: repetitions cost a hundred times as much. */
export class JsonRules {
  /** Between values, where people break lines: bounded, or a model could write nothing else for ever. */
  readonly ws: Expression
  /** After a colon. */
  readonly space = either(EMPTY, literal(" "))
  /** What ends a string, after any characters. */
  readonly characters: Expression
  private readonly code: Expression
  private readonly known = new Map<string, Expression>()

  constructor(private readonly rules: Rules) {
    const lines = Array.from({ length: 13 }, (_, i) => literal(`\n${"  ".repeat(i)}`))
    this.ws = rules.define("ws", either(EMPTY, literal(" "), ...lines))
    const hex = asciiOf([...DIGIT, [0x41, 0x46], [0x61, 0x66]])
    const unit = either(
      sequence(asciiOf([...DIGIT, [0x41, 0x43], [0x45, 0x46], [0x61, 0x63], [0x65, 0x66]]), hex, hex, hex),
      sequence(
        asciiOf([
          [0x44, 0x44],
          [0x64, 0x64],
        ]),
        asciiOf([[0x30, 0x37]]),
        hex,
        hex,
      ),
      // A character beyond \uffff is one of these pairs.
      sequence(
        asciiOf([
          [0x44, 0x44],
          [0x64, 0x64],
        ]),
        asciiOf([
          [0x38, 0x39],
          [0x41, 0x42],
          [0x61, 0x62],
        ]),
        hex,
        hex,
        literal("\\u"),
        asciiOf([
          [0x44, 0x44],
          [0x64, 0x64],
        ]),
        asciiOf([
          [0x43, 0x46],
          [0x63, 0x66],
        ]),
        hex,
        hex,
      ),
    )
    this.code = rules.define("code", unit)
    const characters = { rule: "characters" }
    this.characters = rules.define("characters", either(literal('"'), this.anyCharacterThen(characters)))
  }

  /** Any character of a string, escaped or not, and then `next`. */
  anyCharacterThen(next: Expression): Expression {
    const short = asciiOf([...'"/\\bfnrt'].map((c) => [c.codePointAt(0)!, c.codePointAt(0)!] as const))
    const escapes = [sequence(literal("\\"), short, next), sequence(literal("\\u"), this.code, next)]
    return either(...utf8(PLAIN).map((bytes) => sequence(bytes, next)), ...escapes)
  }

  get string(): Expression {
    return this.once("string", () => sequence(literal('"'), this.characters))
  }

  get integer(): Expression {
    const nonzero = sequence(asciiOf([[0x31, 0x39]]), times(digit, 0, 14))
    return this.once("integer", () => either(literal("0"), nonzero, sequence(literal("-"), nonzero)))
  }

  get number(): Expression {
    return this.once("number", () => {
      const sign = either(EMPTY, literal("-"))
      const whole = either(literal("0"), sequence(asciiOf([[0x31, 0x39]]), times(digit, 0, 14)))
      const fraction = either(EMPTY, sequence(literal("."), times(digit, 1, 15)))
      const mark = asciiOf([
        [0x45, 0x45],
        [0x65, 0x65],
      ])
      const exponent = either(EMPTY, sequence(mark, either(EMPTY, literal("+"), literal("-")), times(digit, 1, 2)))
      return sequence(sign, whole, fraction, exponent)
    })
  }

  get boolean(): Expression {
    return either(literal("true"), literal("false"))
  }

  get null(): Expression {
    return literal("null")
  }

  get object(): Expression {
    return this.once("object", () => {
      const member = sequence(this.string, literal(":"), this.space, this.value)
      const more = { rule: "members" }
      this.rules.define(
        "members",
        either(sequence(this.ws, literal("}")), sequence(literal(","), this.ws, member, more)),
      )
      return sequence(literal("{"), this.ws, either(literal("}"), sequence(member, more)))
    })
  }

  get array(): Expression {
    return this.once("array", () => {
      const more = { rule: "items" }
      this.rules.define(
        "items",
        either(sequence(this.ws, literal("]")), sequence(literal(","), this.ws, this.value, more)),
      )
      return sequence(literal("["), this.ws, either(literal("]"), sequence(this.value, more)))
    })
  }

  get value(): Expression {
    return this.once("value", () => either(this.object, this.array, this.string, this.number, this.boolean, this.null))
  }

  /** A rule that stands in the grammar once, defined when it is first needed. */
  private once(name: string, body: () => Expression): Expression {
    const known = this.known.get(name)
    if (known) return known
    const reference = { rule: name }
    this.known.set(name, reference)
    this.rules.define(name, body())
    return reference
  }
}
