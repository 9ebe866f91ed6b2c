import { Storage } from "../tensor/storage.js"
import { KvCapacityError, KvPoolError } from "./kv_errors.js"
import type { KvFormat } from "../tensor/kv_format.js"
import { kvVector } from "./kv_vector.js"
import {
  firstSeen,
  type KvGroup,
  type KvLayer,
  type KvLayout,
  kvLayout,
  pagesOf,
  requirePositive,
} from "./kv_layout.js"
import { KvSequence, type KvMemory } from "./kv_sequence.js"
import { PAGE_SIZE, pageBytes, pagesNeeded, tokensThatFit } from "./kv_size.js"
import { type PageCopy, PagePool } from "./page_pool.js"
import { NO_PAGE, PrefixTree } from "./prefix_tree.js"

export interface KvStoreOptions {
  /** Size of the pool: so many pages, or as many as fit so many bytes. */
  readonly size: { readonly pages: number } | { readonly bytes: number }
  /** Tokens of the longest sequence. */
  readonly max_context: number
  readonly format: KvFormat
  /** Positions of a page: 64 by default. */
  readonly page_size?: number
}

/** Where a layer's keys and values are: `[pages * page_size, num_key_value_heads, elements]`, shared by several layers. */
export interface KvLayerPages {
  readonly keys: Storage
  readonly values: Storage
  /** Whose page tables and slots it goes by. */
  readonly group: number
}

export interface KvStats {
  readonly pages: number
  readonly free: number
  /** Held by sequences. */
  readonly used: number
  /** Held by the prefix tree alone: they go when room is needed. */
  readonly cached: number
  /** Held by several sequences. */
  readonly shared: number
  /** Tokens of all prompts that were opened, and those of them that were there already. */
  readonly asked_tokens: number
  readonly hit_tokens: number
  /** Windows and pages of the prefix tree that had to go. */
  readonly evictions: number
}

/** Keys and values of many sequences in one pool of pages, shared where their tokens are the same. Computes nothing. */
export class KvStore implements KvMemory {
  readonly layout: KvLayout
  readonly format: KvFormat
  readonly max_context: number
  readonly max_pages: number
  readonly page_bytes: number
  /** By layer of the model. */
  readonly layers: readonly KvLayerPages[]
  /** All of the memory, `keys` and `values` of a column after each other; a page lies in all, at the same place. */
  readonly storages: readonly Storage[]
  readonly pool: PagePool
  readonly tree: PrefixTree
  private asked = 0
  private hit = 0

  /**
   * @throws {RangeError} for layers that cannot share pages and numbers that make no sense
   * @throws {KvPoolError} when `bytes` hold no page
   */
  constructor(layers: readonly KvLayer[], { size, max_context, format, page_size = PAGE_SIZE }: KvStoreOptions) {
    requirePositive("max_context", max_context)
    this.layout = kvLayout(layers, page_size)
    this.format = format
    this.max_context = max_context
    this.max_pages = pagesOf(max_context, page_size)
    this.page_bytes = pageBytes(this.layout, format)
    const pages = "pages" in size ? size.pages : Math.floor(size.bytes / this.page_bytes)
    if ("bytes" in size && !(pages >= 1)) throw new KvPoolError(size.bytes, this.page_bytes)
    requirePositive("pages", pages)
    this.pool = new PagePool(pages)
    this.tree = new PrefixTree(this.layout, this.pool)
    const { columns, num_key_value_heads, head_dim } = this.layout
    const vector = kvVector(format, head_dim)
    const shape = [pages * page_size, num_key_value_heads, vector.length]
    const names = Array.from({ length: columns }, (_, column) => [`keys.${column}`, `values.${column}`])
    this.storages = names.flat().map((name) => new Storage(name, vector.dtype, shape, null))
    this.layers = this.layout.places.map(({ group, column }) => ({
      keys: this.storages[2 * column],
      values: this.storages[2 * column + 1],
      group,
    }))
  }

  get groups(): readonly KvGroup[] {
    return this.layout.groups
  }

  get page_size(): number {
    return this.layout.page_size
  }

  get pages(): number {
    return this.pool.pages
  }

  /** Tokens of the longest sequence that fits when it is alone and at most `chunk` are computed at once. */
  tokensThatFit(chunk: number): number {
    return Math.min(this.max_context, tokensThatFit(this.layout, this.pages, chunk))
  }

  /** @throws {KvCapacityError} unless a sequence of `tokens`, at most `chunk` computed at once, fits when it is alone */
  requireFits(tokens: number, chunk: number): void {
    const fits = tokens <= this.max_context && pagesNeeded(this.layout, tokens, chunk) <= this.pages
    if (!fits) throw new KvCapacityError(tokens, this.tokensThatFit(chunk))
  }

  /**
   * A sequence that begins with as many of `tokens` as are still here, shared by reference: its `length`. At least the
   * last token is left to compute, for its logits.
   */
  open(tokens: ArrayLike<number> = []): KvSequence {
    const { layout, pool, tree } = this
    const ids = Uint32Array.from(tokens)
    const { length, path } = tree.match(ids, Math.max(0, Math.min(ids.length, this.max_context) - 1))
    const held = layout.groups.map(({ window }, group) => {
      const first = Math.floor(firstSeen(length, window) / layout.page_size)
      const nodes = path.slice(first)
      for (const node of nodes) tree.touchWindow(node, group)
      return { first, pages: nodes.map(({ pages }) => pages[group]) }
    })
    for (const { pages } of held) for (const page of pages) pool.retain(page)
    if (path.length > 0) tree.touch(path[path.length - 1])
    const sequence = new KvSequence(this, length, held)
    sequence.commit(ids.subarray(0, length))
    this.asked += ids.length
    this.hit += length
    return sequence
  }

  /** How many of `tokens` are here, as `open` would find them. */
  lengthOf(tokens: ArrayLike<number>): number {
    return this.tree.match(Uint32Array.from(tokens), Math.max(0, tokens.length - 1)).length
  }

  /**
   * The copies of pages, in all columns, to be made before the next step: to be called once the step is planned, when
   * nothing more is extended for it. No copy reads what another writes.
   */
  takeCopies(): PageCopy[] {
    return this.pool.takeCopies()
  }

  /** Forgets all prefixes that no sequence goes on from. */
  clear(): void {
    this.tree.clear()
  }

  stats(): KvStats {
    const { pool, tree } = this
    const holders = Array.from({ length: pool.pages }, (_, page) => pool.holdersOf(page))
    for (const { pages } of tree.nodes) for (const page of pages) if (page !== NO_PAGE) holders[page]--
    const used = holders.filter((count) => count > 0).length
    return {
      pages: pool.pages,
      free: pool.free,
      used,
      cached: pool.pages - pool.free - used,
      shared: holders.filter((count) => count > 1).length,
      asked_tokens: this.asked,
      hit_tokens: this.hit,
      evictions: tree.evictions,
    }
  }
}
