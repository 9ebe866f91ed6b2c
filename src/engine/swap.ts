import type { KvSequence } from "../cache/kv_sequence.js"
import type { KvStore } from "../cache/kv_store.js"
import { type SwappedSequence, swapIn, swapOut } from "../cache/kv_swap.js"
import { PAGE_IO } from "./page_io.js"
import type { Sequence } from "./sequence.js"

/** Sequences that gave their pages back: those that the host's memory has room for wait there, the others are computed again. */
export class Swap {
  private readonly swapped = new Map<Sequence, SwappedSequence>()

  /** @param limit bytes of the host's memory */
  constructor(
    private readonly store: KvStore,
    private readonly limit: number,
  ) {}

  /** Saves what a running sequence has in its pages, if there is room. Its pages are free afterwards. */
  async out(sequence: Sequence): Promise<void> {
    const kv = sequence.kv!
    const bytes = kv.pagesHeld * this.store.page_bytes
    if (this.bytes + bytes > this.limit) return
    sequence.kv = null
    this.swapped.set(sequence, await swapOut(this.store, kv, PAGE_IO))
    if (sequence.isOver) this.forget(sequence)
  }

  /** The pages that a sequence goes on from: as it left them, or what is cached. Undefined where there is no room for them now. */
  async open(sequence: Sequence): Promise<KvSequence | undefined> {
    const saved = this.swapped.get(sequence)
    if (!saved) return this.store.open(sequence.tokens)
    const kv = await swapIn(this.store, saved, PAGE_IO)
    if (kv) this.forget(sequence)
    return kv
  }

  forget(sequence: Sequence): void {
    this.swapped.delete(sequence)
  }

  private get bytes(): number {
    return [...this.swapped.values()].reduce((sum, saved) => sum + bytesOf(saved), 0)
  }
}

function bytesOf({ held }: SwappedSequence): number {
  return held.flatMap(({ pages }) => pages).reduce((sum, { byteLength }) => sum + byteLength, 0)
}
