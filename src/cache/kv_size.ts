import { itemSize } from "../tensor/dtype.js"
import type { KvFormat } from "../tensor/kv_format.js"
import { kvVector } from "./kv_vector.js"
import { firstSeen, type KvLayer, type KvLayout, kvLayout, pagesOf } from "./kv_layout.js"

/** Positions of a page, unless said otherwise. */
export const PAGE_SIZE = 64

/** Bytes of a page: keys and values of all columns. */
export function pageBytes(layout: KvLayout, format: KvFormat): number {
  const { dtype, length } = kvVector(format, layout.head_dim)
  return 2 * layout.columns * layout.page_size * layout.num_key_value_heads * length * itemSize(dtype)
}

/** Bytes that each token adds to a sequence that is longer than its windows, whose pages come and go. */
export function bytesPerToken(layout: KvLayout, format: KvFormat): number {
  const growing = layout.groups.filter(({ window }) => window === null).length
  return (growing * pageBytes(layout, format)) / layout.page_size
}

/** Pages that a sequence of `length` tokens holds while `count` more are computed. */
export function pagesHeld({ groups, page_size }: KvLayout, length: number, count: number): number {
  const end = pagesOf(length + count, page_size)
  return groups.reduce((sum, { window }) => sum + end - Math.floor(firstSeen(length, window) / page_size), 0)
}

/**
 * Pages that a sequence may need on its way to `tokens` tokens when at most `chunk` are computed at once: sliding groups
 * keep the window of a chunk's first row and the chunk itself, wherever page ends fall.
 */
export function pagesNeeded({ groups, page_size }: KvLayout, tokens: number, chunk: number): number {
  const all = pagesOf(tokens, page_size)
  return groups.reduce((sum, { window }) => {
    if (window === null) return sum + all
    const span = window - 1 + chunk
    return sum + Math.min(all, pagesOf(span - 1, page_size) + 1)
  }, 0)
}

/** Tokens of the longest sequence that `pages` pages hold, computed `chunk` at a time; Infinity if windows bound it. */
export function tokensThatFit(layout: KvLayout, pages: number, chunk: number): number {
  if (pagesNeeded(layout, Number.POSITIVE_INFINITY, chunk) <= pages) return Number.POSITIVE_INFINITY
  let [fits, not] = [0, pages + 1]
  while (not - fits > 1) {
    const middle = Math.floor((fits + not) / 2)
    if (pagesNeeded(layout, middle * layout.page_size, chunk) <= pages) fits = middle
    else not = middle
  }
  return fits * layout.page_size
}

export interface KvBytesOptions {
  /** Of each sequence. */
  readonly tokens: number
  /** Tokens of a sequence computed at once, at most. */
  readonly chunk: number
  readonly format: KvFormat
  readonly sequences?: number
  readonly page_size?: number
}

/** Bytes of keys and values of sequences that share nothing. */
export function kvBytes(layers: readonly KvLayer[], options: KvBytesOptions): number {
  const { tokens, chunk, format, sequences = 1, page_size = PAGE_SIZE } = options
  const layout = kvLayout(layers, page_size)
  return sequences * pagesNeeded(layout, tokens, chunk) * pageBytes(layout, format)
}
