import { KvCapacityError } from "./kv_errors.js"
import { canResume, firstSeen, type KvLayout, pagesOf } from "./kv_layout.js"
import { pagesHeld, tokensThatFit } from "./kv_size.js"
import type { PagePool } from "./page_pool.js"
import { NO_PAGE, type PrefixTree, type TreeNode } from "./prefix_tree.js"

/** Where sequences live: what they share. */
export interface KvMemory {
  readonly layout: KvLayout
  /** Tokens of the longest sequence. */
  readonly max_context: number
  /** Entries of a page table: pages of `max_context` tokens. */
  readonly max_pages: number
  readonly pool: PagePool
  readonly tree: PrefixTree
}

/** What a sequence holds of one group: pages from `first` on, up to the one with its last position. */
export interface HeldPages {
  readonly first: number
  readonly pages: readonly number[]
}

/**
 * One sequence's positions: in each group a table from its page numbers to pages of the pool. Between the steps, it may
 * be cut, forked and released; a step that was planned with it (`extend`) is submitted before.
 */
export class KvSequence {
  private readonly tables: Uint32Array[]
  /** By group: the first page that is held. */
  private readonly first: number[]
  /** The tokens told so far: of the first positions. */
  private readonly ids: number[] = []
  /** The node of the last page whose tokens are all told. */
  private tip: TreeNode
  private positions = 0
  private released = false

  /** Takes over the caller's hold on `held`, by group. */
  constructor(
    private readonly memory: KvMemory,
    length: number,
    held: readonly HeldPages[],
  ) {
    this.tables = held.map(({ first, pages }) => {
      const table = new Uint32Array(memory.max_pages)
      table.set(pages, first)
      return table
    })
    this.first = held.map(({ first }) => first)
    this.positions = length
    this.tip = memory.tree.root
    this.tip.holders++
  }

  /** Positions that are computed, or planned with `extend`. */
  get length(): number {
    return this.positions
  }

  /** Positions whose tokens are told. */
  get committed(): number {
    return this.ids.length
  }

  /** Pages that it holds, of all groups. */
  get pagesHeld(): number {
    return this.first.reduce((sum, first) => sum + this.pageCount - first, 0)
  }

  get isReleased(): boolean {
    return this.released
  }

  /** The tokens told so far. */
  get tokens(): readonly number[] {
    return this.ids
  }

  /**
   * A live view of `group`'s page table `[max_pages]`: position p lies in page `table[floor(p / page_size)]`. What is not
   * there yet, or not seen any more, is 0.
   */
  table(group: number): Uint32Array {
    return this.tables[group]
  }

  /** Writes the slots of positions `start` to `start + count` in `group`'s pages to `out`, from `at` on. */
  slots(group: number, start: number, count: number, out: Uint32Array | Int32Array, at: number): void {
    const { page_size } = this.memory.layout
    const table = this.tables[group]
    for (let i = 0; i < count; i++) {
      const position = start + i
      out[at + i] = table[Math.floor(position / page_size)] * page_size + (position % page_size)
    }
  }

  /**
   * Makes room for `count` more positions, to be written by the next step. Lets go of what no position from `length` on
   * sees, and plans a copy of the last page if others hold it too (`KvStore.takeCopies`).
   *
   * @returns false, with nothing taken, when other sequences hold too many pages
   * @throws {KvCapacityError} when it could not be had even without others
   */
  extend(count: number): boolean {
    this.requireLive()
    const { layout, max_context, pool } = this.memory
    const length = this.positions + count
    if (length > max_context || pagesHeld(layout, this.positions, count) > pool.pages) {
      throw new KvCapacityError(length, Math.min(max_context, tokensThatFit(layout, pool.pages, count)))
    }
    if (count === 0) return true
    this.dropUnseen()
    const [from, to] = [this.pageCount, pagesOf(length, layout.page_size)]
    const taken: number[] = []
    while (taken.length < (to - from) * this.tables.length) {
      const page = this.takePage()
      if (page === undefined) return this.giveBack(taken)
      taken.push(page)
    }
    // Last: if the tree shared the last page and had to let it go for the others, no copy is needed.
    const own: { table: Uint32Array; page: number }[] = []
    for (const table of this.isLastPartial ? this.tables : []) {
      if (pool.holdersOf(table[from - 1]) === 1) continue
      const page = this.takePage()
      if (page !== undefined) own.push({ table, page })
      else if (pool.holdersOf(table[from - 1]) > 1) return this.giveBack([...taken, ...own.map(({ page }) => page)])
    }
    for (const { table, page } of own) {
      pool.copy(table[from - 1], page)
      pool.release(table[from - 1])
      table[from - 1] = page
    }
    for (const table of this.tables) for (let page = from; page < to; page++) table[page] = taken.pop()!
    this.positions = length
    return true
  }

  /** A free page; the last one is had by writing to the last page after all, if others that shared it are gone by now. */
  private takePage(): number | undefined {
    const { pool, tree } = this.memory
    const free = tree.takePage()
    if (free !== undefined) return free
    for (const table of this.isLastPartial ? this.tables : []) {
      const page = pool.undoCopy(table[this.pageCount - 1])
      if (page === undefined) continue
      table[this.pageCount - 1] = page
      return pool.take()
    }
    return undefined
  }

  private giveBack(pages: readonly number[]): false {
    for (const page of pages) this.memory.pool.release(page)
    return false
  }

  private dropUnseen(): void {
    const { groups, page_size } = this.memory.layout
    for (const [group, { window }] of groups.entries()) {
      const seen = Math.floor(firstSeen(this.positions, window) / page_size)
      for (; this.first[group] < seen; this.first[group]++) this.drop(group, this.first[group])
    }
  }

  private drop(group: number, page: number): void {
    this.memory.pool.release(this.tables[group][page])
    this.tables[group][page] = 0
  }

  /**
   * Tells the tokens of the next positions that have none. Full pages go to the prefix tree, where others find them: call
   * it when the step that computes them is submitted, so that whatever reads them comes after.
   *
   * @throws {RangeError} for more tokens than there are positions
   */
  commit(ids: ArrayLike<number>): void {
    this.requireLive()
    if (this.ids.length + ids.length > this.positions) {
      throw new RangeError(
        `expected at most ${this.positions - this.ids.length} tokens to be told of ${this.positions} positions, ` +
          `found ${ids.length}`,
      )
    }
    for (let i = 0; i < ids.length; i++) this.ids.push(ids[i])
    const { layout, tree } = this.memory
    const before = this.tip
    while ((this.tip.level + 1) * layout.page_size <= this.ids.length) this.moveTip(this.nextNode())
    if (this.tip !== before) tree.touch(this.tip)
  }

  /** The node of the page after `tip`: the tree's own, whose pages replace this sequence's, or a new one with these. */
  private nextNode(): TreeNode {
    const { pool, tree } = this.memory
    const page = this.tip.level
    const tokens = this.tokensOf(page)
    const pages = this.pagesAt(page)
    const known = tree.child(this.tip, tokens)
    if (!known) return tree.insert(this.tip, tokens, pages)
    tree.refill(known, pages)
    for (const [group, own] of pages.entries()) {
      if (own === NO_PAGE || own === known.pages[group]) continue
      pool.retain(known.pages[group])
      pool.release(own)
      this.tables[group][page] = known.pages[group]
    }
    return known
  }

  private moveTip(node: TreeNode): void {
    node.holders++
    this.tip.holders--
    this.tip = node
  }

  private tokensOf(page: number): Uint32Array {
    const { page_size } = this.memory.layout
    return Uint32Array.from(this.ids.slice(page * page_size, (page + 1) * page_size))
  }

  /** By group. */
  private pagesAt(page: number): number[] {
    return this.tables.map((table, group) => (this.first[group] <= page ? table[page] : NO_PAGE))
  }

  /**
   * Goes back to `length` positions, or to the nearest page end before whose window is still there: it may be 0.
   * @returns the length from now on
   */
  truncate(length: number): number {
    this.requireLive()
    if (length >= this.positions) return this.positions
    const { layout, pool } = this.memory
    const { page_size, groups } = layout
    const path = this.path()
    const isKept = (group: number, page: number) =>
      page >= this.first[group] || (path[page]?.pages[group] ?? NO_PAGE) !== NO_PAGE
    let kept = Math.max(0, length)
    while (!canResume(layout, kept, isKept)) kept = (pagesOf(kept, page_size) - 1) * page_size
    const [end, oldEnd] = [pagesOf(kept, page_size), this.pageCount]
    for (const [group, { window }] of groups.entries()) {
      const seen = Math.floor(firstSeen(kept, window) / page_size)
      for (let page = seen; page < Math.min(this.first[group], end); page++) {
        this.tables[group][page] = path[page].pages[group]
        pool.retain(this.tables[group][page])
      }
      for (let page = Math.max(end, this.first[group]); page < oldEnd; page++) this.drop(group, page)
      this.first[group] = Math.min(this.first[group], seen)
    }
    this.positions = kept
    this.ids.length = Math.min(this.ids.length, kept)
    const level = Math.floor(this.ids.length / page_size)
    if (level < path.length) this.moveTip(level === 0 ? this.memory.tree.root : path[level - 1])
    return kept
  }

  /** The nodes of its pages whose tokens are told. */
  private path(): TreeNode[] {
    const path: TreeNode[] = []
    for (let node = this.tip; node.parent; node = node.parent) path[node.level - 1] = node
    return path
  }

  /** Another sequence that goes on from here; both hold the same pages until one of them writes. */
  fork(): KvSequence {
    this.requireLive()
    const held = this.held()
    for (const { pages } of held) for (const page of pages) this.memory.pool.retain(page)
    const twin = new KvSequence(this.memory, this.positions, held)
    twin.commit(this.ids)
    return twin
  }

  /** Lets go of everything. What was told stays in the prefix tree until room is needed. Once is enough. */
  release(): void {
    if (this.released) return
    for (const { pages } of this.detach()) for (const page of pages) this.memory.pool.release(page)
  }

  /** As `release`, but for the pages: the caller holds them from now on. */
  detach(): readonly HeldPages[] {
    this.requireLive()
    const { layout, tree } = this.memory
    const { level } = this.tip
    const hasTail = this.ids.length > level * layout.page_size
    tree.touch(hasTail ? tree.insertTail(this.tip, this.tokensOf(level), this.pagesAt(level)) : this.tip)
    const held = this.held()
    this.released = true
    this.tip.holders--
    for (const table of this.tables) table.fill(0)
    return held
  }

  private held(): HeldPages[] {
    const end = this.pageCount
    return this.tables.map((table, group) => {
      const first = this.first[group]
      return { first, pages: [...table.subarray(first, Math.max(first, end))] }
    })
  }

  private get pageCount(): number {
    return pagesOf(this.positions, this.memory.layout.page_size)
  }

  private get isLastPartial(): boolean {
    return this.positions % this.memory.layout.page_size !== 0
  }

  private requireLive(): void {
    if (this.released) throw new Error("the sequence was released")
  }
}
