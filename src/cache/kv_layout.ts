/** A layer that keeps keys and values. */
export interface KvLayer {
  readonly num_key_value_heads: number
  readonly head_dim: number
  /** A query at position p sees positions from p - window + 1 on; null: all. */
  readonly window: number | null
}

/** Layers that see the same positions, and so keep and drop pages together. */
export interface KvGroup {
  readonly window: number | null
  /** Indices of its layers, in order. */
  readonly layers: readonly number[]
}

/**
 * How the layers of a model share one pool. A page holds `page_size` positions of all layers of one group: its i-th layer
 * lies in column i of the pool. So pages of all groups are of one size and come from one free list, as in vLLM's hybrid
 * KV cache manager (docs.vllm.ai, "Hybrid KV Cache Manager").
 */
export interface KvLayout {
  readonly groups: readonly KvGroup[]
  /** Layers of the largest group. */
  readonly columns: number
  /** By layer. */
  readonly places: readonly { readonly group: number; readonly column: number }[]
  readonly num_key_value_heads: number
  readonly head_dim: number
  readonly page_size: number
}

/**
 * Groups layers by window: those without one first, then the windows in order of appearance.
 * @throws {RangeError} when there are no layers, their vectors differ in shape, or a number is not a positive integer
 */
export function kvLayout(layers: readonly KvLayer[], page_size: number): KvLayout {
  requirePositive("page_size", page_size)
  if (layers.length === 0) throw new RangeError("layers: expected at least one layer that keeps keys and values")
  const [{ num_key_value_heads, head_dim }] = layers
  for (const [i, layer] of layers.entries()) {
    requirePositive(`layers[${i}].num_key_value_heads`, layer.num_key_value_heads)
    requirePositive(`layers[${i}].head_dim`, layer.head_dim)
    if (layer.window !== null) requirePositive(`layers[${i}].window`, layer.window)
    if (layer.num_key_value_heads === num_key_value_heads && layer.head_dim === head_dim) continue
    throw new RangeError(
      `layers[${i}]: expected ${num_key_value_heads} heads of ${head_dim}, as the layers before, found ` +
        `${layer.num_key_value_heads} of ${layer.head_dim}; layers of several shapes cannot share pages`,
    )
  }
  const windows = [...new Set(layers.map(({ window }) => window))].sort(
    (a, b) => Number(b === null) - Number(a === null),
  )
  const members = windows.map(() => [] as number[])
  const places = layers.map(({ window }, layer) => {
    const group = windows.indexOf(window)
    return { group, column: members[group].push(layer) - 1 }
  })
  const groups = windows.map((window, group) => ({ window, layers: members[group] }))
  const columns = Math.max(...members.map(({ length }) => length))
  return { groups, columns, places, num_key_value_heads, head_dim, page_size }
}

/** @throws {RangeError} unless `value` is an integer from 1 on */
export function requirePositive(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1)
    throw new RangeError(`${name}: expected a positive integer, found ${value}`)
}

/** The first position that a query at `position` sees. */
export function firstSeen(position: number, window: number | null): number {
  return window === null ? 0 : Math.max(0, position - window + 1)
}

/** Pages that hold `positions` positions from 0 on. */
export function pagesOf(positions: number, page_size: number): number {
  return Math.ceil(positions / page_size)
}

/**
 * Whether a sequence can go on from `length`: every page with a position that a query there sees is kept. Groups without
 * a window keep all their pages, and are not asked about.
 */
export function canResume(
  { groups, page_size }: KvLayout,
  length: number,
  isKept: (group: number, page: number) => boolean,
): boolean {
  return groups.every(({ window }, group) => {
    if (window === null) return true
    const end = pagesOf(length, page_size)
    for (let page = Math.floor(firstSeen(length, window) / page_size); page < end; page++) {
      if (!isKept(group, page)) return false
    }
    return true
  })
}
