import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { byteTokenizer, byteTokenizerJson } from "./byte_tokenizer.test.helper.js"
import { Tokenizer, TokenizerError } from "./tokenizer.js"

describe("Tokenizer", () => {
  const tokenizer = byteTokenizer()

  it("applies merges and keeps text that spells a special token as text", () => {
    expect(tokenizer.encode("the")).toEqual([116, 256])
    const ids = tokenizer.encode("<|end|>")
    expect(ids).not.toContain(tokenizer.specialToken("<|end|>"))
    expect(tokenizer.decode(ids)).toBe("<|end|>")
  })

  it("gives back any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text)
      }),
    )
  })

  it("streams whole characters only", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1 }), (text) => {
        const decoder = tokenizer.decoder()
        const pieces = tokenizer.encode(text).map((id) => decoder.push(id))
        for (const piece of pieces) if (!text.includes("\ufffd")) expect(piece).not.toContain("\ufffd")
        expect(pieces.join("") + decoder.end()).toBe(text)
      }),
    )
    const cut = tokenizer.decoder()
    expect(cut.push(0xf0) + cut.push(0x9f)).toBe("")
    expect(cut.end()).toBe("\ufffd")
  })

  it("reads special ids from the file and the vocabulary's size from the highest id", () => {
    expect(tokenizer.specialToken("<|return|>")).toBe(302)
    expect(tokenizer.vocab_size).toBe(309)
    expect(() => tokenizer.specialToken("<|im_start|>")).toThrow(TokenizerError)
  })

  it.each([
    ["not an object", 5, /tokenizer.json/],
    ["another model", { ...byteTokenizerJson(), model: { type: "Unigram", vocab: [] } }, /model.type/],
    ["another decoder", { ...byteTokenizerJson(), decoder: { type: "Metaspace" } }, /ByteLevel/],
    [
      "ids that are not numbers",
      { ...byteTokenizerJson(), added_tokens: [{ id: "x", content: "y", special: true }] },
      /added_tokens.0.id/,
    ],
    [
      "letters outside the byte alphabet",
      { ...byteTokenizerJson(), model: { type: "BPE", vocab: { "\u4e00": 0 }, merges: [] } },
      /alphabet/,
    ],
  ])("refuses %s with a typed error", (_, json, message) => {
    expect(() => new Tokenizer(json)).toThrow(TokenizerError)
    expect(() => new Tokenizer(json)).toThrow(message)
  })
})
