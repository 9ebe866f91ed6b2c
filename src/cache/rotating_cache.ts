import type { Storage } from "../tensor/storage.js"
import { type CacheOptions, type CacheShape, LayerCache } from "./layer_cache.js"

/** How far a conversation can step back (an edited prompt, dropped reasoning) without a new prefill of this layer. */
const REWIND = 512

/** A ring for a sliding-window layer: memory does not grow with the context. */
export class RotatingCache extends LayerCache {
  /**
   * @param maxRows most rows appended at once: their windows must all fit at the same time
   * @param maxLength the longest context there will be: a ring that long never turns
   */
  constructor(
    dims: CacheShape,
    private readonly window: number,
    maxRows: number,
    maxLength: number,
    options: CacheOptions = {},
  ) {
    super(dims, Math.min(window - 1 + maxRows + REWIND, maxLength), options)
  }

  override reserve(): readonly Storage[] {
    return []
  }

  override canResumeAt(length: number): boolean {
    const oldestSeen = Math.max(0, length - this.window + 1)
    return length <= this.written && oldestSeen >= this.written - this.capacity
  }

  override bytesRead(length: number): number {
    return Math.min(length, this.window) * this.rowBytes
  }
}
