import type { MxArray } from "../array/mx_array.js"
import type { PagedKeyValues } from "../array/mx.js"

/** One layer's pages in a step that is being recorded. */
export interface PagedLayer {
  /** Records that rows `[L, num_key_value_heads, head_dim]` are appended, each in its slot. */
  append(keys: MxArray, values: MxArray): PagedKeyValues
}
