import { SortedTexts, type Span } from "./sorted_texts.js"
import type { Tokenizer } from "./tokenizer.js"

/** Bit `id % 32` of word `id / 32` is set for the tokens in it. */
export type TokenSet = Uint32Array

export function addToken(set: TokenSet, id: number): void {
  set[id >> 5] |= 1 << (id & 31)
}

export function hasToken(set: TokenSet, id: number): boolean {
  return ((set[id >> 5] >>> (id & 31)) & 1) === 1
}

/** Bytes as a string: a character for each. */
export function byteString(bytes: Uint8Array): string {
  let text = ""
  for (const byte of bytes) text += String.fromCharCode(byte)
  return text
}

/** A vocabulary's tokens that are text, found by the bytes they stand for. Made once for a tokenizer. */
export class TokenTexts {
  /** All of them. */
  readonly all: TokenSet
  /** Words of a set of tokens. */
  readonly words: number
  /** In the order of what they say. */
  private readonly ids: readonly number[]
  private readonly sorted: SortedTexts
  private readonly withOne = new Map<number, TokenSet>()

  /** @param vocab_size the model's, which may be more or less than the tokenizer's */
  constructor(tokenizer: Tokenizer, vocab_size: number) {
    const texts: string[] = []
    const ids: number[] = []
    this.words = Math.ceil(vocab_size / 32)
    this.all = new Uint32Array(this.words)
    for (let id = 0; id < Math.min(tokenizer.vocab_size, vocab_size); id++) {
      if (!tokenizer.isText(id)) continue
      addToken(this.all, id)
      texts[id] = byteString(tokenizer.bytesOf(id))
      ids.push(id)
    }
    this.ids = ids.sort((a, b) => (texts[a] < texts[b] ? -1 : texts[a] > texts[b] ? 1 : a - b))
    this.sorted = new SortedTexts(this.ids.map((id) => texts[id]))
  }

  /** All of them, and another token. */
  allAnd(token: number): TokenSet {
    const known = this.withOne.get(token)
    if (known) return known
    const set = this.all.slice()
    addToken(set, token)
    this.withOne.set(token, set)
    return set
  }

  /**
   * The tokens that say the next bytes of any of these texts, which go on from `span`.
   *
   * @param texts of characters that are bytes, or marks: those above 255
   * @param idOf the token that a mark is
   */
  beginning(texts: SortedTexts, span: Span, idOf: (mark: number) => number): TokenSet {
    const set = new Uint32Array(this.words)
    for (const { character } of texts.next(span)) if (character > 0xff) addToken(set, idOf(character))
    this.collect(set, texts, span, this.sorted.root)
    return set
  }

  private collect(set: TokenSet, texts: SortedTexts, span: Span, tokens: Span): void {
    for (const { character, span: rest } of texts.next(span)) {
      const longer = this.sorted.after(tokens, character)
      if (!longer) continue
      const { from, to } = this.sorted.endsAt(longer)
      for (let i = from; i < to; i++) addToken(set, this.ids[i])
      this.collect(set, texts, rest, longer)
    }
  }
}
