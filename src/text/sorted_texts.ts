/** Those of the texts from `from` to `to` (exclusive), which all begin with the same `depth` characters. */
export interface Span {
  readonly from: number
  readonly to: number
  readonly depth: number
}

/** Texts in order, walked like a trie: those that begin alike are neighbours. A character is a UTF-16 unit. */
export class SortedTexts {
  /** All of them. */
  readonly root: Span

  /** @param texts sorted, as JavaScript compares strings */
  constructor(readonly texts: readonly string[]) {
    this.root = { from: 0, to: texts.length, depth: 0 }
  }

  /** The first of the span's texts that is longer than what they share: those before end here. */
  private firstLonger({ from, to, depth }: Span): number {
    return this.first(from, to, (text) => text.length > depth)
  }

  /** The span's texts that end here: alike, all of them. */
  endsAt(span: Span): { readonly from: number; readonly to: number } {
    return { from: span.from, to: this.firstLonger(span) }
  }

  /** The span's texts that go on with a character; undefined where there is none. */
  after(span: Span, character: number): Span | undefined {
    const { to, depth } = span
    const from = this.first(this.firstLonger(span), to, (text) => text.charCodeAt(depth) >= character)
    const end = this.first(from, to, (text) => text.charCodeAt(depth) > character)
    return from < end ? { from, to: end, depth: depth + 1 } : undefined
  }

  /** The characters with which the span's texts go on. */
  *next(span: Span): Generator<{ readonly character: number; readonly span: Span }> {
    const { to, depth } = span
    for (let from = this.firstLonger(span); from < to; ) {
      const character = this.texts[from].charCodeAt(depth)
      const end = this.first(from, to, (text) => text.charCodeAt(depth) > character)
      yield { character, span: { from, to: end, depth: depth + 1 } }
      from = end
    }
  }

  /** The first place from which on a condition holds. */
  private first(from: number, to: number, holds: (text: string) => boolean): number {
    while (from < to) {
      const middle = (from + to) >>> 1
      if (holds(this.texts[middle])) to = middle
      else from = middle + 1
    }
    return from
  }
}
