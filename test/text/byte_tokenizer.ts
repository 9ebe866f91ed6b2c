import { Tokenizer } from "../../src/text/tokenizer.js"

/** o200k_harmony's special tokens (openai/harmony, docs/format.md), in an order of our own. */
const SPECIAL = ["startoftext", "endoftext", "return", "constrain", "channel", "start", "end", "message", "call"]

/** GPT-2's spelling of a byte, written down independently of the tokenizer's. */
export function spelled(byte: number): string {
  const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174
  if (printable) return String.fromCodePoint(byte)
  const before = Array.from({ length: byte }, (_, b) => b).filter(
    (b) => !((b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174),
  )
  return String.fromCodePoint(256 + before.length)
}

/**
 * tokenizer.json of a byte-level BPE with one merge ("he") and harmony's special tokens after the bytes.
 *
 * @param pieces texts that are tokens too, from id 400 on; nothing is encoded to them
 */
export function byteTokenizerJson(pieces: readonly string[] = []) {
  const vocab = Object.fromEntries(Array.from({ length: 256 }, (_, byte) => [spelled(byte), byte]))
  for (const [i, piece] of pieces.entries()) {
    const spelling = Array.from(new TextEncoder().encode(piece), spelled).join("")
    vocab[spelling] ??= 400 + i
  }
  const added = SPECIAL.map((name, i) => ({
    id: 300 + i,
    content: `<|${name}|>`,
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  }))
  return {
    version: "1.0",
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      vocab: { ...vocab, he: 256 } as Record<string, number>,
      merges: [["h", "e"]],
    },
  }
}

export function byteTokenizer(pieces: readonly string[] = []): Tokenizer {
  return tokenizerOf(byteTokenizerJson(pieces))
}

/** The tokenizer of a tokenizer.json with this content. */
export function tokenizerOf(json: unknown): Tokenizer {
  return new Tokenizer(new TextEncoder().encode(JSON.stringify(json)))
}

/** Tokens of text whose parts between special tokens are cut at `cuts`, each taken modulo the part's length. */
export function cutTokens(text: string, cuts: readonly number[]): { tokenizer: Tokenizer; tokens: number[] } {
  const isSpecial = (piece: string) => /^<\|[a-z]+\|>$/.test(piece)
  const pieces = text.split(/(<\|[a-z]+\|>)/).flatMap((part) => {
    if (isSpecial(part)) return [part]
    const places = [...new Set([0, part.length, ...cuts.map((cut) => cut % (part.length + 1))])].sort((a, b) => a - b)
    return places.slice(1).map((place, i) => part.slice(places[i], place))
  })
  const json = byteTokenizerJson(pieces.filter((piece) => !isSpecial(piece)))
  const tokenizer = tokenizerOf(json)
  const idOf = (piece: string) => json.model.vocab[Array.from(new TextEncoder().encode(piece), spelled).join("")]
  return { tokenizer, tokens: pieces.map((piece) => (isSpecial(piece) ? tokenizer.specialToken(piece) : idOf(piece))) }
}

/** Token ids of text in which special tokens are meant as such. */
export function encodeHarmony(tokenizer: Tokenizer, text: string): number[] {
  return text
    .split(/(<\|[a-z]+\|>)/)
    .flatMap((piece) => (/^<\|[a-z]+\|>$/.test(piece) ? [tokenizer.specialToken(piece)] : tokenizer.encode(piece)))
}
