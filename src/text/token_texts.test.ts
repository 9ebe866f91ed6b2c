import fc from "fast-check"
import { expect, it } from "vitest"
import { byteTokenizer } from "../../test/text/byte_tokenizer.js"
import { SortedTexts } from "./sorted_texts.js"
import { byteString, hasToken, TokenTexts } from "./token_texts.js"

const MARK = 0x100
const MARK_ID = 5
const tokenizer = byteTokenizer(["ab", "aba", "abab", "ba", "bab", "bb", "abc", "éa"])
const tokens = new TokenTexts(tokenizer, tokenizer.vocab_size)

it("finds the tokens that texts go on with, and marks", () => {
  const text = fc.string({
    unit: fc.constantFrom("a", "b", "\u00c3", "\u00a9", String.fromCharCode(MARK)),
    maxLength: 8,
  })
  fc.assert(
    fc.property(fc.uniqueArray(text, { minLength: 1, maxLength: 6 }), fc.nat(8), (texts, length) => {
      const sorted = new SortedTexts([...texts].sort())
      let span = sorted.root
      const said = texts[0].slice(0, length)
      for (const character of said) span = sorted.after(span, character.charCodeAt(0))!
      const rests = texts.filter((text) => text.startsWith(said)).map((text) => text.slice(said.length))
      const expected = Array.from({ length: tokenizer.vocab_size }, (_, id) => id).filter((id) => {
        const isNext = tokenizer.isText(id) && rests.some((rest) => rest.startsWith(byteString(tokenizer.bytesOf(id))))
        return isNext || (id === MARK_ID && rests.some((rest) => rest.charCodeAt(0) === MARK))
      })
      const set = tokens.beginning(sorted, span, () => MARK_ID)
      expect(Array.from({ length: set.length * 32 }, (_, id) => id).filter((id) => hasToken(set, id))).toEqual(expected)
    }),
  )
})
