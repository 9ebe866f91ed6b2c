import * as mx from "../array/mx.js"
import type { MxArray } from "../array/mx_array.js"

/** YaRN's parameters, as in config.json's `rope_scaling` with `rope_type: "yarn"`. */
export interface YarnScaling {
  readonly factor: number
  readonly original_max_position_embeddings: number
  readonly beta_fast: number
  readonly beta_slow: number
  /** Round the ramp's ends to whole dimensions; gpt-oss says false. */
  readonly truncate: boolean
  /** Multiplies cos and sin; `0.1 ln(factor) + 1` when absent. */
  readonly attention_factor?: number
}

/** Rotary frequencies and the factor on cos and sin. */
export interface RopeParameters {
  /** `[head_dim / 2]`, radians per position */
  readonly inv_freq: Float32Array<ArrayBuffer>
  readonly scale: number
}

/**
 * Frequencies `theta^(-2i / headDim)`, interpolated by YaRN when `scaling` is given: dimensions that turn more than
 * `beta_fast` times within the original context keep their frequency, those below `beta_slow` are divided by `factor`,
 * a linear ramp between. Peng et al., 2023 (arXiv 2309.00071); transformers `modeling_rope_utils.py`.
 */
export function ropeParameters(headDim: number, theta: number, scaling: YarnScaling | null): RopeParameters {
  const half = headDim / 2
  const base = Float64Array.from({ length: half }, (_, i) => theta ** ((-2 * i) / headDim))
  if (!scaling) return { inv_freq: Float32Array.from(base), scale: 1 }
  const { factor, original_max_position_embeddings, beta_fast, beta_slow, truncate } = scaling
  const dimensionOf = (rotations: number) =>
    (headDim * Math.log(original_max_position_embeddings / (rotations * 2 * Math.PI))) / (2 * Math.log(theta))
  const [fast, slow] = [dimensionOf(beta_fast), dimensionOf(beta_slow)]
  const low = Math.max(truncate ? Math.floor(fast) : fast, 0)
  const high = Math.min(truncate ? Math.ceil(slow) : slow, headDim - 1)
  const width = high === low ? 0.001 : high - low
  const inv_freq = Float32Array.from(base, (frequency, i) => {
    const interpolated = Math.min(Math.max((i - low) / width, 0), 1)
    return (frequency / factor) * interpolated + frequency * (1 - interpolated)
  })
  return { inv_freq, scale: scaling.attention_factor ?? (factor > 1 ? 0.1 * Math.log(factor) + 1 : 1) }
}

/** Rotary position embedding. No weights: frequencies come from the config. */
export class RoPE {
  private readonly invFreq: MxArray
  private readonly scale: number

  constructor(headDim: number, theta: number, scaling: YarnScaling | null) {
    const { inv_freq, scale } = ropeParameters(headDim, theta, scaling)
    this.invFreq = mx.array(inv_freq)
    this.scale = scale
  }

  /** x `[L, heads, headDim]`, positions `[L]` */
  forward(x: MxArray, positions: MxArray): MxArray {
    return mx.fast.rope(x, positions, this.invFreq, this.scale)
  }
}
