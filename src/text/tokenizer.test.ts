import { Tokenizer as Oracle } from "@huggingface/tokenizers"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { byteTokenizer, byteTokenizerJson, spelled, tokenizerOf } from "../../test/text/byte_tokenizer.js"
import { Tokenizer } from "./tokenizer.js"
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

/** One that does something before bytes are spelled. */
const preTokenizer = (step: object) => {
  const json = byteTokenizerJson()
  return { ...json, pre_tokenizer: { type: "Sequence", pretokenizers: [step, json.pre_tokenizer] } }
}

/** Merges that make a token of its letters from the left, and what they make. */
const spelledMerges = (token: string) =>
  Array.from({ length: token.length - 1 }, (_, i) => [token.slice(0, i + 1), token[i + 1]])
const spelledVocab = (token: string, id: number) =>
  Object.fromEntries(Array.from({ length: token.length - 1 }, (_, i) => [token.slice(0, i + 2), id + i]))

const shown = (tokenizer: Tokenizer, ids: number[]) => {
  const decoder = tokenizer.decoder()
  return ids.map((id) => decoder.push(id)).join("") + decoder.end()
}

/** Byte pair encodings of few letters, with merges as training makes them: each of two tokens that are there. */
const trained = fc
  .record({
    alphabet: fc.constantFrom(["a", "b"], ["a", "b", "\u0120", "\u00c3", "\u00a9"]),
    choices: fc.array(fc.tuple(fc.nat(9), fc.nat(9)), { maxLength: 30 }),
    ignore_merges: fc.boolean(),
    shuffled: fc.boolean(),
  })
  .map(({ alphabet, choices, ignore_merges, shuffled }) => {
    const tokens: string[] = [...alphabet]
    const merges: [string, string][] = []
    for (const [first, second] of choices) {
      const pair: [string, string] = [tokens[first % tokens.length], tokens[second % tokens.length]]
      if (merges.some(([a, b]) => a === pair[0] && b === pair[1])) continue
      merges.push(pair)
      if (!tokens.includes(pair.join(""))) tokens.push(pair.join(""))
    }
    const vocab = { ...byteTokenizerJson().model.vocab }
    for (const token of tokens) vocab[token] ??= 400 + Object.keys(vocab).length
    return withModel({ vocab, merges: shuffled ? merges.reverse() : merges, ignore_merges })
  })
const letters = fc.string({ unit: fc.constantFrom(..."aaabbb \u00e9c"), maxLength: 60 })

const inOrder = (object: object) => Object.fromEntries(Object.entries(object).sort())

const escaped = (letter: string) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`

/** The same file, written in another way. */
const writings: Record<string, (json: ReturnType<typeof byteTokenizerJson>) => string> = {
  "with white space": (json) => JSON.stringify(json, null, 2),
  "with names in order, merges before the vocabulary": (json) =>
    JSON.stringify(inOrder({ ...json, model: inOrder(json.model) })),
  "with merges as one string each": (json) =>
    JSON.stringify({ ...json, model: { ...json.model, merges: json.model.merges.map((pair) => pair.join(" ")) } }),
  "with all escaped": (json) => JSON.stringify(json).replace(/[^\0-\x7e]/g, escaped),
  "with a byte order mark": (json) => `\ufeff${JSON.stringify(json)}`,
}

describe("Tokenizer", () => {
  it("merges as Hugging Face's tokenizers do, whatever the merges", () => {
    fc.assert(
      fc.property(trained, fc.array(letters), (json, texts) => {
        const tokenizer = tokenizerOf(json)
        const oracle = new Oracle(json, {})
        for (const text of texts) {
          expect(tokenizer.encode(text)).toEqual(oracle.encode(text, { add_special_tokens: false }).ids)
        }
      }),
      { numRuns: 300 },
    )
  })

  it.each(Object.entries(writings))("reads a file %s", (_, write) => {
    fc.assert(
      fc.property(trained, letters, (json, text) => {
        const read = new Tokenizer(new TextEncoder().encode(write(json)))
        expect(read.encode(text)).toEqual(tokenizerOf(json).encode(text))
        expect(read.vocab_size).toBe(tokenizerOf(json).vocab_size)
      }),
      { numRuns: 20 },
    )
  })

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

  it("knows white space as Rust does: U+0085 is, U+FEFF is not", () => {
    const [bom, next] = [`${spelled(0xbf)}!`, `${spelled(0x85)}!`]
    const vocab = { ...byteTokenizerJson().model.vocab, [bom]: 400, [next]: 401 }
    const tokenizer = tokenizerOf(withModel({ vocab, merges: [[...bom], [...next]] }))
    expect(tokenizer.encode("\ufeff!")).toEqual([0xef, 0xbb, 400])
    expect(tokenizer.encode("\u0085!")).toEqual([0xc2, 0x85, 0x21])
  })

  it("never reads control tokens from text, even where merges or the whole of a piece would make them", () => {
    for (const ignore_merges of [false, true]) {
      const merges = [...spelledMerges("<|"), ...spelledMerges("end|>"), ["<|", "end|>"]]
      const vocab = { ...spelledVocab("<|", 400), ...spelledVocab("end|>", 410), "<|end|>": 306 }
      const { model } = byteTokenizerJson()
      const pre_tokenizer = { type: "ByteLevel", add_prefix_space: false, use_regex: false }
      const json = withModel({ ignore_merges, merges, vocab: { ...model.vocab, ...vocab } })
      const tokenizer = tokenizerOf({ ...json, pre_tokenizer })
      expect(tokenizer.encode("<|end|>")).toEqual([400, 413])
      expect(tokenizer.encodeSpecial("<|end|>")).toEqual([306])
    }
  })

  it("refuses what breaks off anywhere", () => {
    const whole = new TextEncoder().encode(JSON.stringify(byteTokenizerJson()))
    for (let length = 0; length < whole.length; length += 7) {
      expect(() => new Tokenizer(whole.subarray(0, length)), `${length}`).toThrow(TokenizerError)
    }
  })

  it.each([
    ["a vocabulary twice", '"vocab":{},', /model.vocab.*twice/],
    ["merges twice", '"merges":[],', /model.merges.*twice/],
  ])("refuses %s", (_, more, message) => {
    const text = JSON.stringify(byteTokenizerJson()).replace('"model":{', `$&${more}`)
    expect(() => new Tokenizer(new TextEncoder().encode(text))).toThrow(message)
  })

  it.each([
    ["a letter that is cut off", /"h":104/, '"\xc4ab":104'],
    ["an id that begins with 0", /"he":256/, '"he":0256'],
    ["an id that has no digits", /"he":256/, '"he":'],
    ["no id", /"he":256/, '"he"'],
    ["a line break in a token", /"he":256/, '"h\ne":256'],
    ["an escape that is none", /"he":256/, '"h\\xe":256'],
    ["something behind the end", /$/, "{}"],
    ["NaN", /"version":"1.0"/, '"version":NaN'],
  ])("refuses %s", (_, pattern, text) => {
    const json = JSON.stringify(byteTokenizerJson()).replace(/[^\0-\x7e]/g, escaped)
    expect(new Tokenizer(Buffer.from(json, "latin1")).vocab_size).toBe(309)
    const broken = Buffer.from(
      json.replace(pattern, () => text),
      "latin1",
    )
    expect(broken.equals(Buffer.from(json, "latin1"))).toBe(false)
    expect(() => new Tokenizer(broken)).toThrow(TokenizerError)
  })

  it("refuses a token that stands twice, where JSON.parse would keep the last", () => {
    const text = JSON.stringify(byteTokenizerJson()).replace('"he":256', '"he":256,"h\\u0065":257')
    expect(() => new Tokenizer(new TextEncoder().encode(text))).toThrow(/model.vocab.*"he".*twice/)
  })

  it.each([
    ["not an object", 5, /tokenizer.json/],
    ["nothing at all", null, /tokenizer.json/],
    ["a vocabulary that is a list", withModel({ vocab: [] }), /model.vocab/],
    ["merges that are an object", withModel({ merges: {} }), /model.merges/],
    ["no merges", withModel({ merges: undefined }), /model.merges/],
    ["a number for a merge", withModel({ merges: [["h", "e"], 5] }), /model.merges.1.*string/],
    ["a number in a merge", withModel({ merges: [["h", 5]] }), /model.merges.0.*string/],
    ["a merge of one", withModel({ merges: [["h"]] }), /tokenizer.json.*byte/],
    ["a merge of three", withModel({ merges: [["h", "e", "r"]] }), /tokenizer.json.*byte/],
    ["a merge of words outside the alphabet", withModel({ merges: ["h \u4e00"] }), /model.merges.0.*alphabet/],
    ["a merge with two spaces", withModel({ merges: ["h  e"] }), /model.merges.0.*alphabet/],
    ["merges without end", withModel({ merges: Array.from({ length: 9 }, () => "h e") }), /model.merges.3.*"he"/],
    ["an id of 10^9", withVocab({ th: 1e9 }), /model.vocab.th.*whole number/],
    ["an id of 10^21", withVocab({ th: 1e21 }), /model.vocab.th.*whole number/],
    ["half an id in the vocabulary", withVocab({ th: 1.5 }), /model.vocab.th.*whole number/],
    ["an id below 0 in the vocabulary", withVocab({ th: -1 }), /model.vocab.th.*whole number/],
    ["a text for an id", withVocab({ th: "5" as never }), /model.vocab.th.*whole number/],
    ["letters at words' ends", withModel({ end_of_word_suffix: "</w>" }), /model.end_of_word_suffix/],
    [
      "a pre-tokenizer that spells no bytes",
      { ...byteTokenizerJson(), pre_tokenizer: { type: "Whitespace" } },
      /pre_tok.*ByteLevel/,
    ],
    ["no pre-tokenizer", { ...byteTokenizerJson(), pre_tokenizer: null }, /pre_tokenizer/],
    ["one that is not known", preTokenizer({ type: "Sideways" }), /Sideways/],
    ["a pattern that is none", preTokenizer({ type: "Split", pattern: { Regex: "(" } }), /tokenizer.json/],
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
