import type { CompiledGrammars, GrammarMatcher } from "../../src/text/grammar.js"
import type { Tokenizer } from "../../src/text/tokenizer.js"
import { byteTokenizer } from "./byte_tokenizer.js"

/** Bytes, and tokens that go over the borders of JSON's pieces and of characters. */
export const grammarTokenizer = byteTokenizer([
  '{"',
  '":',
  '", "',
  '"}',
  "true",
  "null",
  "12",
  "}]",
  "é",
  "ab",
  '\\"',
  ",\n  ",
])

/** A schema of objects with these properties, all of them required unless said. */
export const objectOf = (properties: object, required = Object.keys(properties)) =>
  ({ type: "object", properties, required }) as const

/** Ids that a mask lets through. */
export function allowedIds(matcher: GrammarMatcher): number[] {
  const ids: number[] = []
  for (const [word, bits] of matcher.allowed().entries()) {
    for (let bit = 0; bit < 32; bit++) if ((bits >>> bit) & 1) ids.push(word * 32 + bit)
  }
  return ids
}

/** A generator of numbers from 0 to 1 (Park and Miller). */
export function random(seed: number): () => number {
  let state = (seed % 2147483646) + 1
  return () => {
    state = (state * 48271) % 2147483647
    return state / 2147483647
  }
}

const CLOSING = new Set([...'"}]'].map((character) => character.charCodeAt(0)))

/**
 * A text that the grammar lets through: tokens of each mask alike likely, those that may close something a little more, and
 * much more from 100 tokens on; ended at every fourth chance.
 *
 * @returns `null` if it has no end after `most` tokens
 */
export function sample(compiled: CompiledGrammars, index: number, next: () => number, most = 1500): string | null {
  const tokenizer: Tokenizer = grammarTokenizer
  const matcher = compiled.open(index)
  const tokens: number[] = []
  try {
    while (tokens.length < most) {
      const ids = allowedIds(matcher)
      if (matcher.mayEnd && (ids.length === 0 || tokens.length > 100 || next() < 0.25)) return tokenizer.decode(tokens)
      if (ids.length === 0) throw new Error(`stuck after ${JSON.stringify(tokenizer.decode(tokens))}`)
      const closing = next() < (tokens.length > 100 ? 0.8 : 0.1) ? ids.filter((id) => CLOSING.has(id)) : []
      const among = closing.length > 0 ? closing : ids
      const token = among[Math.floor(next() * among.length)]
      tokens.push(token)
      matcher.accept(token)
    }
    return null
  } finally {
    matcher.close()
  }
}
