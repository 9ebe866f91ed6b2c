import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { byteTokenizer, byteTokenizerJson, tokenizerOf } from "../../test/text/byte_tokenizer.js"
import type { Tokenizer } from "./tokenizer.js"
import { TokenizerError } from "./tokenizer_error.js"

/** The byte tokenizer with a tenth added token. */
function withAdded(token: Record<string, unknown>) {
  const json = byteTokenizerJson()
  const added = { ...json.added_tokens[0], id: 309, content: "[note]", special: false, ...token }
  return { ...json, added_tokens: [...json.added_tokens, added] }
}

function withModel(parts: object) {
  const json = byteTokenizerJson()
  return { ...json, model: { ...json.model, ...parts } }
}

const withVocab = (more: Record<string, number>) =>
  withModel({ vocab: { ...byteTokenizerJson().model.vocab, ...more } })

const shown = (tokenizer: Tokenizer, ids: number[]) => {
  const decoder = tokenizer.decoder()
  return ids.map((id) => decoder.push(id)).join("") + decoder.end()
}

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

  it("shows added tokens unless they are special, as transformers with skip_special_tokens", () => {
    const ids = [97, 309, 300, 98]
    for (const special of [true, false, undefined]) {
      const tokenizer = tokenizerOf(withAdded({ special }))
      expect(shown(tokenizer, ids)).toBe(special ? "ab" : "a[note]b")
      expect(tokenizer.isSpecial(309)).toBe(special === true)
      expect(tokenizer.decode(ids)).toBe("a[note]<|startoftext|>b")
      expect(tokenizer.encode("a[note]b").includes(309)).toBe(!special)
    }
  })

  it("finds tokens that are single words in no other word, as Hugging Face's tokenizers do", () => {
    const encode = (content: string, text: string, more = {}) =>
      tokenizerOf(withAdded({ content, single_word: true, ...more })).encode(text)
    const note = (text: string) => encode("foo", text).filter((id) => id === 309).length
    expect(encode("foo", "a foo.")).toEqual([97, 32, 309, 46])
    expect(encode("foo", "a foo .", { lstrip: true, rstrip: true })).toEqual([97, 309, 46])
    for (const text of ["foobar", "afoo", "foo_", "1foo", "foo\u00e9", "foo\u0301", "fo o", "Foo"])
      expect(note(text)).toBe(0)
    for (const text of ["foo", "foo foo", "(foo)", "foo-foo", "\u201cfoo\u201d!"]) {
      expect(note(text)).toBe(text.split("foo").length - 1)
    }
    expect(encode("a.b*[c]", "x a.b*[c] y")).toContain(309)
    expect(encode("a.b*[c]", "aXb*[c]")).not.toContain(309)
  })

  it("never reads control tokens from text, even where the file does not call them special", () => {
    const json = byteTokenizerJson()
    const tokenizer = tokenizerOf({
      ...json,
      added_tokens: json.added_tokens.map(({ special: _, ...token }) => token),
    })
    for (const { id, content } of json.added_tokens) {
      expect(tokenizer.idOf(content)).toBe(id)
      expect(tokenizer.encode(content)).not.toContain(id)
    }
  })

  it("passes over added tokens of no characters, and those that the vocabulary has alike", () => {
    expect(tokenizerOf(withAdded({ content: "" })).vocab_size).toBe(309)
    expect(tokenizerOf(withAdded({ content: "he", id: 256 })).encode("the")).toEqual([116, 256])
  })

  it.each([
    ["not an object", 5, /tokenizer.json/],
    ["another model", { ...byteTokenizerJson(), model: { type: "Unigram", vocab: [] } }, /model.type/],
    ["a list", [], /tokenizer.json: /],
    ["WordPiece", { ...byteTokenizerJson(), model: { type: "WordPiece", vocab: {} } }, /expected "BPE".*"WordPiece"/],
    [
      "another decoder",
      { ...byteTokenizerJson(), decoder: { type: "Metaspace" } },
      /expected "ByteLevel".*"Metaspace"/,
    ],
    ["no decoder", { ...byteTokenizerJson(), decoder: null }, /decoder/],
    ["added tokens null", { ...byteTokenizerJson(), added_tokens: null }, /added_tokens/],
    ["a negative id", withAdded({ id: -1 }), /added_tokens.9.id/],
    ["a huge id", withAdded({ id: 2 ** 32 }), /added_tokens.9.id/],
    ["half an id", withAdded({ id: 1.5 }), /added_tokens.9.id/],
    ["a number for content", withAdded({ content: 5 }), /added_tokens.9.content/],
    ["special that is no boolean", withAdded({ special: "yes" }), /added_tokens.9.special/],
    ["an added token's id twice", withAdded({ id: 302 }), /added_tokens.9.id.*302/],
    ["an added token twice", withAdded({ content: "<|end|>" }), /added_tokens.9.id.*309.*306/],
    ["an added token for another", withAdded({ id: 97 }), /added_tokens.9.id.*97/],
    ["two tokens of one id", withVocab({ th: 97 }), /model.vocab.*"th".*97/],
    [
      "a merge into no token",
      withModel({
        merges: [
          ["h", "e"],
          ["z", "q"],
        ],
      }),
      /model.merges.1.*"zq"/,
    ],
    ["such a merge as one string", withModel({ merges: ["h e", "z q"] }), /model.merges.1.*"zq"/],
    ["an unknown token that is unknown", withModel({ unk_token: "<unk>" }), /model.unk_token.*"<unk>"/],
    ["a huge id in the vocabulary", withVocab({ th: 2 ** 40 }), /model.vocab.th/],
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
    expect(() => tokenizerOf(json)).toThrow(TokenizerError)
    expect(() => tokenizerOf(json)).toThrow(message)
  })
})
