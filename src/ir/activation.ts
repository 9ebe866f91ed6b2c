/**
 * How the gate and up halves of a gated feed-forward layer are joined: `f(gate) * up` (Shazeer 2020, "GLU Variants Improve
 * Transformer", arXiv 2002.05202).
 *
 * - `silu`: SwiGLU, `gate * sigmoid(gate) * up`
 * - `gelu_tanh`: GeGLU by the tanh approximation (Hendrycks and Gimpel, arXiv 1606.08415), `gelu_pytorch_tanh` in config.json
 * - `clamped_swiglu`: gpt-oss's, `g * sigmoid(alpha * g) * (u + offset)` with `g = min(gate, limit)` and
 *   `u = clamp(up, -limit, limit)`, offset 1 (openai/gpt-oss, gpt_oss/torch/model.py)
 */
export type GatedActivation =
  | { readonly fn: "silu" }
  | { readonly fn: "gelu_tanh" }
  | { readonly fn: "clamped_swiglu"; readonly alpha: number; readonly limit: number; readonly offset: number }

/**
 * What kernels take: with `g = min(gate, limit)` and `u = clamp(up, -limit, limit)`, every activation is
 * `g * sigmoid(alpha * g + cubic * g^3) * (u + offset)`.
 */
export interface GluCoefficients {
  readonly alpha: number
  readonly cubic: number
  /** Infinity for none. */
  readonly limit: number
  readonly offset: number
}

/** `0.5 (1 + tanh(x)) = sigmoid(2 x)`, and the approximation takes tanh of `sqrt(2 / pi) * (x + 0.044715 x^3)`. */
const GELU_ALPHA = 2 * Math.sqrt(2 / Math.PI)

export function gluCoefficients(activation: GatedActivation): GluCoefficients {
  switch (activation.fn) {
    case "silu":
      return { alpha: 1, cubic: 0, limit: Number.POSITIVE_INFINITY, offset: 0 }
    case "gelu_tanh":
      return { alpha: GELU_ALPHA, cubic: 0.044715 * GELU_ALPHA, limit: Number.POSITIVE_INFINITY, offset: 0 }
    case "clamped_swiglu": {
      const { alpha, limit, offset } = activation
      return { alpha, cubic: 0, limit, offset }
    }
  }
}
