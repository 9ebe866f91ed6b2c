import { KvSequence } from "./kv_sequence.js"
import type { KvStore } from "./kv_store.js"
import { type PageIO, readPage, writePage } from "./page_io.js"

/** A sequence in the host's memory. Whoever drops it has released it. */
export interface SwappedSequence {
  readonly length: number
  /** The tokens told. */
  readonly tokens: readonly number[]
  /** By group: the number of its first page, and what the pages hold. */
  readonly held: readonly { readonly first: number; readonly pages: readonly Uint8Array[] }[]
}

/**
 * Takes `sequence` out of the pool: it is released at once, and its pages are free when they have been read. What the
 * prefix tree shares with it is saved too, for it may be gone when the sequence comes back.
 */
export async function swapOut(store: KvStore, sequence: KvSequence, io: PageIO): Promise<SwappedSequence> {
  const { length, tokens } = sequence
  const held = sequence.detach()
  try {
    const saved = held.map(({ first }) => ({ first, pages: [] as Uint8Array[] }))
    for (const [group, { pages }] of held.entries()) {
      for (const page of pages) saved[group].pages.push(await readPage(store, io, page))
    }
    return { length, tokens, held: saved }
  } finally {
    for (const { pages } of held) for (const page of pages) store.pool.release(page)
  }
}

/**
 * Brings a sequence back into pages of its own; where the prefix tree has the same, into those.
 * @returns undefined, with nothing taken, when other sequences hold too many pages
 */
export async function swapIn(
  store: KvStore,
  { length, tokens, held }: SwappedSequence,
  io: PageIO,
): Promise<KvSequence | undefined> {
  const { pool, tree } = store
  const taken = held.map(({ first }) => ({ first, pages: [] as number[] }))
  const giveBack = () => {
    for (const { pages } of taken) for (const page of pages) pool.release(page)
  }
  for (const [group, { pages }] of held.entries()) {
    while (taken[group].pages.length < pages.length) {
      const page = tree.takePage()
      if (page === undefined) return void giveBack()
      taken[group].pages.push(page)
    }
  }
  try {
    for (const [group, { pages }] of held.entries()) {
      for (const [i, bytes] of pages.entries()) await writePage(store, io, taken[group].pages[i], bytes)
    }
  } catch (error) {
    giveBack()
    throw error
  }
  const sequence = new KvSequence(store, length, taken)
  sequence.commit(tokens)
  return sequence
}
