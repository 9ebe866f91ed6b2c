import * as mx from "../array/mx.js"
import type { MxArray } from "../array/mx_array.js"
import type { DType } from "../tensor/dtype.js"
import { Storage } from "../tensor/storage.js"

/** The shape of one layer's cached keys (and values). */
export interface CacheShape {
  readonly num_key_value_heads: number
  readonly head_dim: number
}

/** How caches are kept: one sequence in float32, unless said otherwise. */
export interface CacheOptions {
  readonly dtype?: DType
  /** Sequences side by side, each with positions of its own: states get an axis in front. */
  readonly sequences?: number
}

/**
 * Keys and values after an append: `[capacity, num_key_value_heads, head_dim]`, position p in slot `p % capacity`, with
 * an axis of sequences in front if there are several.
 */
export interface KeyValues {
  readonly keys: MxArray
  readonly values: MxArray
  /** `[L]`: the sequence of each appended row. */
  readonly sequences?: MxArray
}

/** What a model needs of a cache. */
export type Appendable = Pick<LayerCache, "append">

/**
 * The KV cache of one layer: two states that attention reads and appends write in place. Position p lives in slot
 * `p % capacity`, so a cache that keeps everything and a ring differ only in their capacity.
 */
export abstract class LayerCache {
  protected keys: Storage
  protected values: Storage
  /** One more than the highest position written since the last reset. */
  protected written = 0

  protected constructor(
    protected readonly dims: CacheShape,
    protected capacity: number,
    private readonly options: CacheOptions = {},
  ) {
    this.keys = this.allocate("keys", null)
    this.values = this.allocate("values", null)
  }

  /** The memory that programs compiled with this cache hold on to. */
  get states(): readonly Storage[] {
    return [this.keys, this.values]
  }

  /** Traces the append of rows `[L, num_key_value_heads, head_dim]` at `positions` `[L]` of `sequences` `[L]`. */
  append(keys: MxArray, values: MxArray, positions: MxArray, sequences?: MxArray): KeyValues {
    return {
      keys: mx.fast.kvAppend(this.keys, keys, positions, sequences),
      values: mx.fast.kvAppend(this.values, values, positions, sequences),
      sequences,
    }
  }

  /** Tells the cache that positions below `length` have been written. */
  advance(length: number): void {
    this.written = Math.max(this.written, length)
  }

  /** Forgets everything; the memory stays. */
  reset(): void {
    this.written = 0
  }

  /**
   * Makes room for positions below `length`. Returns the storages that new ones replace, if it had to grow: dispose of
   * them once `states` are resident, and compile anew the programs that held them.
   */
  abstract reserve(length: number): readonly Storage[]

  /** True when all that a query at position `length` may see is still here, so that generation can go on from there. */
  abstract canResumeAt(length: number): boolean

  /** Bytes of keys and values that the last of `length` tokens attends to. */
  abstract bytesRead(length: number): number

  protected get rowBytes(): number {
    return this.states.reduce((sum, { byteLength }) => sum + byteLength, 0) / this.capacity
  }

  /** A state that starts with the rows of `old`. */
  protected allocate(name: string, old: Storage | null): Storage {
    const { num_key_value_heads, head_dim } = this.dims
    const { dtype = "float32", sequences } = this.options
    const rows = [this.capacity, num_key_value_heads, head_dim]
    const shape = sequences === undefined ? rows : [sequences, ...rows]
    return old ? Storage.extending(old, name, shape) : new Storage(name, dtype, shape, null)
  }
}
