const PARITY = 0x1bd11bda
const ROTATIONS = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
]

/**
 * Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). A counter-based
 * generator: the n-th number of a seed needs no state, so a sequence can be resumed, batched or drawn on a GPU and stays
 * the same. Only 32-bit additions, rotations and xors.
 *
 * @param out receives the two words
 */
export function threefry2x32(key0: number, key1: number, counter0: number, counter1: number, out: Uint32Array): void {
  const keys = [key0, key1, key0 ^ key1 ^ PARITY]
  let x0 = (counter0 + key0) | 0
  let x1 = (counter1 + key1) | 0
  for (let group = 0; group < 5; group++) {
    for (const r of ROTATIONS[group & 1]) {
      x0 = (x0 + x1) | 0
      x1 = ((x1 << r) | (x1 >>> (32 - r))) ^ x0
    }
    x0 = (x0 + keys[(group + 1) % 3]) | 0
    x1 = (x1 + keys[(group + 2) % 3] + group + 1) | 0
  }
  out[0] = x0
  out[1] = x1
}

/**
 * Uniform numbers in [0, 1) with 53 random bits. Number n of a seed is a pure function of both: the key is the seed's 64
 * bits in two's complement, the counter is n.
 */
export class CounterRandom {
  private readonly words = new Uint32Array(2)
  private readonly low: number
  private readonly high: number

  constructor(seed: number) {
    this.low = (seed % 2 ** 32) | 0
    this.high = Math.floor(seed / 2 ** 32) | 0
  }

  uniform(n: number): number {
    threefry2x32(this.low, this.high, n | 0, Math.floor(n / 2 ** 32), this.words)
    return ((this.words[0] >>> 5) * 2 ** 26 + (this.words[1] >>> 6)) / 2 ** 53
  }
}

/** A seed nobody chose, for reporting: 32 random bits. */
export function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]
}
