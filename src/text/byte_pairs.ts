import { type Merges, NO_RANK } from "./merges.js"
import { EMPTY_HASH, hashOn, type Vocabulary } from "./vocabulary.js"

/** Ranks and positions in one number: what is joined first is the least, of equal ranks the first in the text. */
const POSITIONS = 2 ** 28

/**
 * Cuts bytes into tokens, by joining the neighbours whose merge has the lowest rank until none can be joined. A heap of
 * pairs finds it, so that the time grows with the length but for a logarithm.
 */
export class BytePairs {
  private readonly single: Int32Array
  /** By the position of a part's first byte: its length, where the part before begins, its hash and token. */
  private lengths = new Int32Array(0)
  private before = new Int32Array(0)
  private hashes = new Int32Array(0)
  private tokens = new Int32Array(0)
  /** Of a part and the one behind it: the rank of their merge, and what it makes. */
  private ranks = new Int32Array(0)
  private joined = new Int32Array(0)
  private readonly heap = new Heap()

  constructor(
    private readonly vocabulary: Vocabulary,
    private readonly merges: Merges,
  ) {
    this.single = Int32Array.from({ length: 256 }, (_, byte) => vocabulary.placeOf(Uint8Array.of(byte)))
  }

  /** Calls `emit` with the place in the vocabulary of each token; -1 for a byte that is none. */
  encode(bytes: Uint8Array, emit: (place: number) => void): void {
    const { length } = bytes
    this.reserve(length)
    for (let at = 0; at < length; at++) {
      this.lengths[at] = 1
      this.before[at] = at - 1
      this.hashes[at] = hashOn(EMPTY_HASH, bytes[at])
      this.tokens[at] = this.single[bytes[at]]
    }
    for (let at = 0; at < length; at++) this.consider(bytes, at)
    while (this.heap.length > 0) {
      const key = this.heap.pop()
      const at = key % POSITIONS
      // Parts that were joined since leave their pairs behind.
      if (this.ranks[at] === (key - at) / POSITIONS) this.join(bytes, at)
    }
    for (let at = 0; at < length; at += this.lengths[at]) emit(this.tokens[at])
  }

  private join(bytes: Uint8Array, at: number): void {
    const behind = at + this.lengths[at]
    this.hashes[at] = this.vocabulary.hashOfBoth(this.hashes[at], this.hashes[behind], this.lengths[behind])
    this.tokens[at] = this.joined[at]
    this.lengths[at] += this.lengths[behind]
    this.ranks[behind] = NO_RANK
    const next = at + this.lengths[at]
    if (next < bytes.length) this.before[next] = at
    this.consider(bytes, at)
    if (at > 0) this.consider(bytes, this.before[at])
  }

  /** Puts the pair that begins at a position on the heap, if it can be joined. */
  private consider(bytes: Uint8Array, at: number): void {
    this.ranks[at] = NO_RANK
    const behind = at + this.lengths[at]
    if (behind >= bytes.length) return
    const end = behind + this.lengths[behind]
    if (end - at > this.vocabulary.longest) return
    const hash = this.vocabulary.hashOfBoth(this.hashes[at], this.hashes[behind], this.lengths[behind])
    const place = this.vocabulary.find(hash, bytes, at, end)
    if (place < 0) return
    const rank = this.merges.rankOf(place, behind - at)
    if (rank === NO_RANK) return
    this.ranks[at] = rank
    this.joined[at] = place
    this.heap.push(rank * POSITIONS + at)
  }

  private reserve(length: number): void {
    if (length <= this.lengths.length) return
    const room = Math.max(64, 2 ** Math.ceil(Math.log2(length)))
    this.lengths = new Int32Array(room)
    this.before = new Int32Array(room)
    this.hashes = new Int32Array(room)
    this.tokens = new Int32Array(room)
    this.ranks = new Int32Array(room)
    this.joined = new Int32Array(room)
  }
}

/** Gives back the least of the numbers in it. */
class Heap {
  length = 0
  private keys = new Float64Array(64)

  push(key: number): void {
    if (this.length === this.keys.length) {
      const keys = new Float64Array(this.length * 2)
      keys.set(this.keys)
      this.keys = keys
    }
    const { keys } = this
    let at = this.length++
    for (let above = (at - 1) >> 1; at > 0 && keys[above] > key; above = (at - 1) >> 1) {
      keys[at] = keys[above]
      at = above
    }
    keys[at] = key
  }

  pop(): number {
    const { keys } = this
    const least = keys[0]
    const last = keys[--this.length]
    let at = 0
    for (let below = 1; below < this.length; below = 2 * at + 1) {
      if (below + 1 < this.length && keys[below + 1] < keys[below]) below++
      if (keys[below] >= last) break
      keys[at] = keys[below]
      at = below
    }
    keys[at] = last
    return least
  }
}
