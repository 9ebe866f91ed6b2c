import type { Storage } from "../tensor/storage.js"
import { type CacheOptions, type CacheShape, LayerCache } from "./layer_cache.js"

const INITIAL_CAPACITY = 256

/**
 * Keeps every position; doubles as it fills, so that growth costs one copy per doubling. Several sequences do not grow:
 * they have their full length from the start.
 */
export class FullCache extends LayerCache {
  /** @param maxLength the longest context there will be: capacity stops there */
  constructor(
    dims: CacheShape,
    private readonly maxLength: number,
    options: CacheOptions = {},
  ) {
    super(dims, options.sequences === undefined ? Math.min(INITIAL_CAPACITY, maxLength) : maxLength, options)
  }

  override reserve(length: number): readonly Storage[] {
    if (length <= this.capacity) return []
    let capacity = this.capacity
    while (capacity < length) capacity *= 2
    this.capacity = Math.min(capacity, this.maxLength)
    const replaced = this.states
    const hasRows = this.written > 0
    this.keys = this.allocate("keys", hasRows ? this.keys : null)
    this.values = this.allocate("values", hasRows ? this.values : null)
    return replaced
  }

  override canResumeAt(length: number): boolean {
    return length <= this.written
  }

  override bytesRead(length: number): number {
    return length * this.rowBytes
  }
}
