/** Of an empty text. */
export const EMPTY_HASH = 0
const FACTOR = 0x01000193
/** Places behind the likely one that are looked at before the text is searched. */
const NEAR = 3

/** The hash of a text that goes on with a byte. */
export const hashOn = (hash: number, byte: number): number => (Math.imul(hash, FACTOR) + byte + 1) | 0

/**
 * Texts of bytes, found by what they say: one buffer for all and open addressing, because 200,000 strings and a Map of them
 * take half a second and 100 MB. The hash is a polynomial, so that two neighbours' hashes give that of both together.
 */
export class Vocabulary {
  /** How many there are; each is known by its place, in the order in which they were added. */
  readonly length: number
  /** Bytes of the longest. */
  readonly longest: number
  /** A text that stands there before. */
  readonly twice?: number
  /** Pairs of a place plus one, 0 for none, and the hash of what stands there. */
  readonly table: Int32Array
  private readonly shift: number
  /** FACTOR to the power of each length. */
  private readonly powers: Int32Array

  /**
   * @param bytes of all texts, one after another
   * @param starts `[length + 1]`: where each begins
   * @param table of a vocabulary of the same texts; else it is made
   */
  constructor(
    readonly bytes: Uint8Array,
    readonly starts: Uint32Array,
    table?: Int32Array,
  ) {
    this.length = starts.length - 1
    const bits = Math.max(4, 33 - Math.clz32(this.length))
    this.shift = 32 - bits
    this.table = table ?? new Int32Array(2 << bits)
    let longest = 1
    for (let place = 0; place < this.length; place++) {
      longest = Math.max(longest, starts[place + 1] - starts[place])
      if (!table && !this.add(place)) this.twice ??= place
    }
    this.longest = longest
    this.powers = new Int32Array(longest + 1)
    this.powers[0] = 1
    for (let n = 1; n <= longest; n++) this.powers[n] = Math.imul(this.powers[n - 1], FACTOR)
  }

  bytesAt(place: number): Uint8Array {
    return this.bytes.subarray(this.starts[place], this.starts[place + 1])
  }

  lengthAt(place: number): number {
    return this.starts[place + 1] - this.starts[place]
  }

  /** The hash of two texts in a row. @param length of the second, at most `longest` */
  hashOfBoth(first: number, second: number, length: number): number {
    return (Math.imul(first, this.powers[length]) + second) | 0
  }

  /** The place of the text `source[start, end)`, -1 where there is none. @param hash its own */
  find(hash: number, source: Uint8Array, start: number, end: number): number {
    const { table } = this
    for (let slot = this.slotOf(hash); table[slot] !== 0; slot = (slot + 2) % table.length) {
      if (table[slot + 1] === hash && this.says(table[slot] - 1, source, start, end)) return table[slot] - 1
    }
    return -1
  }

  /** As `find`, for a text that is likely to stand at a place or just behind it. */
  findNear(near: number, hash: number, source: Uint8Array, end: number): number {
    const last = Math.min(near + NEAR, this.length - 1)
    for (let place = near; place <= last; place++) if (this.says(place, source, 0, end)) return place
    return this.find(hash, source, 0, end)
  }

  /** As `find`, of a text whose hash is not known. */
  placeOf(bytes: Uint8Array): number {
    let hash = EMPTY_HASH
    for (const byte of bytes) hash = hashOn(hash, byte)
    return this.find(hash, bytes, 0, bytes.length)
  }

  private add(place: number): boolean {
    const { bytes, starts, table } = this
    let hash = EMPTY_HASH
    for (let at = starts[place]; at < starts[place + 1]; at++) hash = hashOn(hash, bytes[at])
    if (this.find(hash, bytes, starts[place], starts[place + 1]) >= 0) return false
    let slot = this.slotOf(hash)
    while (table[slot] !== 0) slot = (slot + 2) % table.length
    table[slot] = place + 1
    table[slot + 1] = hash
    return true
  }

  private slotOf(hash: number): number {
    return (Math.imul(hash ^ (hash >>> 15), 0x9e3779b1) >>> this.shift) * 2
  }

  private says(place: number, source: Uint8Array, start: number, end: number): boolean {
    const { bytes } = this
    const from = this.starts[place]
    if (this.starts[place + 1] - from !== end - start) return false
    for (let i = 0; i < end - start; i++) if (bytes[from + i] !== source[start + i]) return false
    return true
  }
}
