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

/** Tokens that begin with the same two bytes, in the order of what they say. */
interface Group {
  readonly ids: readonly number[]
  readonly sorted: SortedTexts
}

/** A vocabulary's tokens that are text, found by the bytes they stand for. Made once for a tokenizer. */
export class TokenTexts {
  /** All of them. */
  readonly all: TokenSet
  /** Words of a set of tokens. */
  readonly words: number
  /** By their first two bytes, or the only one: see `keyOf`. */
  private readonly beginnings = new Map<number, number[]>()
  /** Those of the beginnings that were asked for: sorting all takes long. */
  private readonly groups = new Map<number, Group>()
  private readonly withOne = new Map<number, TokenSet>()

  /** @param vocab_size the model's, which may be more or less than the tokenizer's */
  constructor(
    private readonly tokenizer: Tokenizer,
    vocab_size: number,
  ) {
    this.words = Math.ceil(vocab_size / 32)
    this.all = new Uint32Array(this.words)
    for (let id = 0; id < Math.min(tokenizer.vocab_size, vocab_size); id++) {
      if (!tokenizer.isText(id)) continue
      addToken(this.all, id)
      const bytes = tokenizer.bytesOf(id)
      const key = keyOf(bytes[0], bytes[1])
      const alike = this.beginnings.get(key)
      if (alike) alike.push(id)
      else this.beginnings.set(key, [id])
    }
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
    for (const { character: first, span: rest } of texts.next(span)) {
      if (first > 0xff) {
        addToken(set, idOf(first))
        continue
      }
      for (const id of this.beginnings.get(keyOf(first)) ?? []) addToken(set, id)
      for (const { character: second, span } of texts.next(rest)) {
        const group = second > 0xff ? undefined : this.group(keyOf(first, second))
        if (group) collect(set, texts, span, group, { ...group.sorted.root, depth: 2 })
      }
    }
    return set
  }

  private group(key: number): Group | undefined {
    const known = this.groups.get(key)
    if (known) return known
    const alike = this.beginnings.get(key)
    if (!alike) return undefined
    const tokens = alike.map((id) => ({ id, text: byteString(this.tokenizer.bytesOf(id)) }))
    tokens.sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
    const group = { ids: tokens.map(({ id }) => id), sorted: new SortedTexts(tokens.map(({ text }) => text)) }
    this.groups.set(key, group)
    return group
  }
}

const keyOf = (first: number, second?: number) => (first << 9) | (second ?? 0x100)

/** Adds those of a group's tokens, from a span on, that the texts go on with. */
function collect(set: TokenSet, texts: SortedTexts, span: Span, group: Group, tokens: Span): void {
  const { from, to } = group.sorted.endsAt(tokens)
  for (let i = from; i < to; i++) addToken(set, group.ids[i])
  for (const { character, span: rest } of texts.next(span)) {
    const longer = group.sorted.after(tokens, character)
    if (longer) collect(set, texts, rest, group, longer)
  }
}
