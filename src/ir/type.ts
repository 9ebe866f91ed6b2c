import type { DType } from "../tensor/dtype.js"
import type { Quantization } from "../tensor/quantization.js"
import type { Dims } from "./dim.js"

/** What is known of a value before it is computed. */
export interface Type {
  readonly shape: Dims
  readonly dtype: DType
}

/** The components of a weight as stored, for logical shape `[..., N, K]`: packed words with scales, or a dense float array. */
export interface WeightOf<T> {
  /** null for a dense weight. */
  readonly quantization: Quantization | null
  /** `[..., N, K]` dense, or packed along K. */
  readonly weight: T
  /** `[..., N, K / group_size]`, of quantized weights. */
  readonly scales?: T
  /** `[..., N, K / group_size]`, affine only. */
  readonly biases?: T
  /** `[..., N]`, added to the product. */
  readonly bias?: T
}
