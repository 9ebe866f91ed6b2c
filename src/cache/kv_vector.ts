import type { DType } from "../tensor/dtype.js"
import type { KvFormat } from "../tensor/kv_format.js"

/** One head's vector of keys or values as a page holds it: so many elements of a dtype. */
export interface KvVector {
  readonly dtype: DType
  readonly length: number
}

/** @throws {RangeError} when vectors of `head_dim` do not fill whole words */
export function kvVector(format: KvFormat, head_dim: number): KvVector {
  if (format === "float32" || format === "float16") return { dtype: format, length: head_dim }
  const perWord = format === "int8" ? 4 : 8
  if (head_dim % perWord === 0) return { dtype: "uint32", length: head_dim / perWord }
  throw new RangeError(`head_dim ${head_dim}: ${format} keys and values need a multiple of ${perWord}`)
}
