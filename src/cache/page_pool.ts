/** Copy of a page in all columns. */
export interface PageCopy {
  readonly from: number
  readonly to: number
}

/**
 * Which pages are free, how many hold each of the others, and which copies are still to be made. A page that is held once
 * may be written; one that is held by several is copied first.
 */
export class PagePool {
  private readonly holders: Uint32Array
  /** The next one is at the end. */
  private readonly unused: number[]
  /** To a page, from a page: the source is held until the copy is given out. */
  private readonly copies = new Map<number, number>()

  constructor(readonly pages: number) {
    this.holders = new Uint32Array(pages)
    this.unused = Array.from({ length: pages }, (_, i) => pages - 1 - i)
  }

  get free(): number {
    return this.unused.length
  }

  /** A free page, held once from now on; undefined if there is none. */
  take(): number | undefined {
    const page = this.unused.pop()
    if (page !== undefined) this.holders[page] = 1
    return page
  }

  holdersOf(page: number): number {
    return this.holders[page]
  }

  retain(page: number): void {
    if (this.holders[page] === 0) throw new Error(`page ${page} is free, it cannot be shared`)
    this.holders[page]++
  }

  release(page: number): void {
    if (this.holders[page] === 0) throw new Error(`page ${page} was released twice`)
    if (--this.holders[page] > 0) return
    const source = this.copies.get(page)
    this.copies.delete(page)
    this.unused.push(page)
    if (source !== undefined) this.release(source)
  }

  /** Plans a copy, to be made before the next step writes to `to`. */
  copy(from: number, to: number): void {
    const source = this.sourceOf(from)
    this.retain(source)
    this.copies.set(to, source)
  }

  /**
   * The source of the copy to `to`, to be held in its place, if only the copy holds it by now and only the caller holds
   * `to`, which is free from now on. Undefined if the copy is still needed, or there is none.
   */
  undoCopy(to: number): number | undefined {
    const source = this.copies.get(to)
    if (source === undefined || this.holders[source] > 1 || this.holders[to] > 1) return undefined
    this.retain(source)
    this.release(to)
    return source
  }

  /** Where the content of `page` is now: a copy to it may not have been made yet. */
  sourceOf(page: number): number {
    return this.copies.get(page) ?? page
  }

  /** The copies planned since the last call. None reads what another writes: their order does not matter. */
  takeCopies(): PageCopy[] {
    const copies = [...this.copies].map(([to, from]) => ({ from, to }))
    this.copies.clear()
    for (const { from } of copies) this.release(from)
    return copies
  }
}
