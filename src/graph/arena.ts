/** A piece of scratch memory needed from the instruction that writes it to the last one that reads it, both included. */
export interface Lifetime {
  readonly byteLength: number
  readonly first: number
  readonly last: number
}

/** WebGPU's minStorageBufferOffsetAlignment at its default; also a multiple of a cache line. */
const ALIGNMENT = 256

export interface ArenaPlan {
  /** Byte offset of each lifetime, in the order given. */
  readonly offsets: readonly number[]
  readonly byteLength: number
}

/**
 * Offsets in one arena such that values alive at the same time never overlap: each takes the lowest gap that fits,
 * in order of first use.
 */
export function planArena(lifetimes: readonly Lifetime[]): ArenaPlan {
  const offsets = new Array<number>(lifetimes.length)
  let live: { start: number; end: number; last: number }[] = []
  let byteLength = 0
  const order = lifetimes.map((_, i) => i).sort((a, b) => lifetimes[a].first - lifetimes[b].first)
  for (const i of order) {
    const { first, last } = lifetimes[i]
    const size = Math.ceil(lifetimes[i].byteLength / ALIGNMENT) * ALIGNMENT
    live = live.filter((block) => block.last >= first)
    let start = 0
    for (const block of live) {
      if (block.start - start >= size) break
      start = Math.max(start, block.end)
    }
    offsets[i] = start
    live.push({ start, end: start + size, last })
    live.sort((a, b) => a.start - b.start)
    byteLength = Math.max(byteLength, start + size)
  }
  return { offsets, byteLength }
}
