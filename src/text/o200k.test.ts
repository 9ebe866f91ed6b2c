import { readFileSync } from "node:fs"
import fc from "fast-check"
import type { JsHarmonyEncoding } from "openai-harmony"
import { beforeAll, describe, expect, it } from "vitest"
import { tokenizerOf } from "../../test/text/byte_tokenizer.js"
import { officialHarmony } from "../../test/text/harmony_oracle.js"
import { o200kJson } from "../../test/text/o200k.js"
import type { Tokenizer } from "./tokenizer.js"

/** What cutting and merging treat apart. */
const CHARACTERS = [
  ..."aAbzZeno 's'tRE'll019²٣Ⅳ \n\r\t/.,!?-_()<|>`~",
  ..."éßñÀǅʰªжЖאبति你日語한ー",
  ..."\u0301\u200d\ufe0f\ufeff\u00a0\u0085\u2028\u3000\0",
  ..."😀👍🏽🏳𝒜",
]
describe("the tokenizer of gpt-oss", () => {
  let official: JsHarmonyEncoding
  let tokenizer: Tokenizer
  beforeAll(async () => {
    official = await officialHarmony()
    tokenizer = tokenizerOf(o200kJson())
  })

  const agrees = (text: string) => {
    const ids = tokenizer.encode(text)
    expect(ids, JSON.stringify(text)).toEqual([...official.encode(text, [])])
    expect(tokenizer.decode(ids)).toBe(text)
  }

  it("gives the official ids for any text", () => {
    const word = fc.string({ unit: fc.constantFrom(...CHARACTERS), maxLength: 12 })
    const run = fc.tuple(fc.constantFrom(...CHARACTERS), fc.integer({ min: 1, max: 200 })).map(([c, n]) => c.repeat(n))
    const text = fc.array(fc.oneof(word, run, fc.string({ unit: "grapheme" }), fc.string({ unit: "binary" })))
    fc.assert(
      fc.property(text, (parts) => {
        agrees(parts.join(""))
      }),
      { numRuns: 2000 },
    )
  })

  it("gives the official ids for prose and programs", () => {
    for (const file of ["../../../README.md", "../../../docs/architecture.md", "../../../src/text/tokenizer.ts"]) {
      const text = readFileSync(new URL(file, import.meta.url), "utf8")
      agrees(text)
      for (const word of text.split(/\s+/)) agrees(word)
    }
  })

  it("gives the official ids for what tokens say, and for two in a row", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(199_997), { maxLength: 6 }), (ids) => {
        const text = tokenizer.decode(ids)
        if (!text.includes("\ufffd")) agrees(text)
      }),
      { numRuns: 3000 },
    )
  })

  it("takes runs of one character in its stride, of which the official code can take short ones alone", () => {
    for (const character of ["a", " ", "\n", "!", "é", "한", "😀"]) {
      agrees(character.repeat(2000))
      const long = character.repeat(200_000)
      expect(tokenizer.decode(tokenizer.encode(long)) === long).toBe(true)
    }
  })

  it("reads half a surrogate pair as U+FFFD", () => {
    expect(tokenizer.encode("a\ud800b")).toEqual(tokenizer.encode("a\ufffdb"))
  })
})
