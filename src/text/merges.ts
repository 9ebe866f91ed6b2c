import type { MergeList } from "./tokenizer_json.js"
import type { Vocabulary } from "./vocabulary.js"

/** No merge has this rank. */
export const NO_RANK = -1

/**
 * Which neighbours a byte pair encoding joins, and which first. A pair is known by the token that it makes and by where that
 * is cut, which takes two numbers for each, and no table of pairs.
 */
export class Merges {
  /** `[vocabulary.length + 1]`: where the merges into each token begin, in what follows. */
  private readonly begins: Uint32Array
  private readonly cuts: Uint32Array
  private readonly ranks: Uint32Array

  /**
   * @param made the token that each merge makes, by its place in the vocabulary; the first merge comes first
   * @param cuts bytes of each merge's first token
   * @param barred tokens that no merge may make, by place
   */
  constructor(vocabulary: Vocabulary, { made, cuts }: MergeList, barred: Iterable<number>) {
    const begins = new Uint32Array(vocabulary.length + 1)
    for (let rank = 0; rank < made.length; rank++) begins[made[rank] + 1]++
    for (let place = 0; place < vocabulary.length; place++) begins[place + 1] += begins[place]
    const next = begins.slice()
    this.cuts = new Uint32Array(made.length)
    this.ranks = new Uint32Array(made.length)
    for (let rank = 0; rank < made.length; rank++) {
      const at = next[made[rank]]++
      this.cuts[at] = cuts[rank]
      this.ranks[at] = rank
    }
    this.begins = begins
    // No text has such a cut.
    for (const place of barred) this.cuts.fill(0, begins[place], begins[place + 1])
  }

  /** The rank of the merge that makes a token of its first `length` bytes and the rest. Of two alike the last counts. */
  rankOf(place: number, length: number): number {
    const { begins, cuts } = this
    for (let at = begins[place + 1] - 1; at >= begins[place]; at--) if (cuts[at] === length) return this.ranks[at]
    return NO_RANK
  }
}
