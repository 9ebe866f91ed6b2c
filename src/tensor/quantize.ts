import { checkRow, E2M1 } from "./dequantize.js"
import { float8E8m0ToFloat32, float32ToFloat8E8m0, roundHalfEven } from "./floats.js"
import type { Quantization } from "./quantization.js"

const fround = Math.fround

/**
 * Quantizes one row of `values.length` elements as `mx.quantize` does (float32 arithmetic): packed bytes to `weight`, one
 * float per group to `scales` and, for affine, `biases`. To store bfloat16 scales, pass values that are bfloat16
 * already and round the results (`encodeFloats`), which is what MLX does.
 *
 * Modes: affine and mxfp4; throws RangeError for the others and for lengths that do not fit together.
 */
export function quantizeRow(
  quantization: Quantization,
  values: Float32Array,
  weight: Uint8Array,
  scales: Float32Array,
  biases: Float32Array | null,
): void {
  checkRow(quantization, values.length, weight, scales, biases)
  weight.fill(0)
  const { bits, group_size } = quantization
  for (let group = 0; group < scales.length; group++) {
    const start = group * group_size
    const elements = values.subarray(start, start + group_size)
    const target = weight.subarray((start * bits) / 8, ((start + group_size) * bits) / 8)
    if (quantization.mode === "affine") {
      const { scale, bias } = quantizeAffineGroup(bits, elements, target)
      scales[group] = scale
      biases![group] = bias
    } else if (quantization.mode === "mxfp4") {
      scales[group] = quantizeMxfp4Group(elements, target)
    } else {
      throw new RangeError(`quantizeRow writes affine and mxfp4; ${quantization.mode} can only be read`)
    }
  }
}

/**
 * MLX's affine rule (ml-explore/mlx, mlx/backend/cpu/quantized.cpp): the edge of larger magnitude is hit exactly, and
 * the scale is stretched so that zero falls on an integer.
 */
function quantizeAffineGroup(
  bits: number,
  elements: Float32Array,
  packed: Uint8Array,
): { scale: number; bias: number } {
  const bins = 2 ** bits - 1
  let min = Number.POSITIVE_INFINITY
  let max = Number.NEGATIVE_INFINITY
  for (const value of elements) {
    min = Math.min(min, value)
    max = Math.max(max, value)
  }
  const minIsEdge = Math.abs(min) > Math.abs(max)
  const step = Math.max(fround(fround(max - min) / bins), fround(1e-7))
  let scale = minIsEdge ? step : -step
  let bias = 0
  const edge = minIsEdge ? min : max
  const zero = rint(fround(edge / scale))
  if (zero !== 0) {
    scale = fround(edge / zero)
    bias = edge
  }
  for (let i = 0; i < elements.length; i++) {
    const q = Math.min(Math.max(rint(fround(fround(elements[i] - bias) / scale)), 0), bins)
    const bit = i * bits
    const shifted = q << (bit & 7)
    packed[bit >> 3] |= shifted & 0xff
    if (shifted > 0xff) packed[(bit >> 3) + 1] |= shifted >> 8
  }
  return { scale, bias }
}

/** MLX's mxfp4 rule (mlx 0.32.4): the scale is the smallest power of two at least max / 6, elements the nearest E2M1. */
function quantizeMxfp4Group(elements: Float32Array, packed: Uint8Array): number {
  let max = 0
  for (const value of elements) max = Math.max(max, Math.abs(value))
  const scale = max === 0 ? 1 : float8E8m0ToFloat32(float32ToFloat8E8m0(fround(max / 6)))
  for (let i = 0; i < elements.length; i++) {
    packed[i >> 1] |= nearestE2m1(fround(elements[i] / scale)) << (4 * (i & 1))
  }
  return scale
}

/** The nearest of the sixteen values; of two equally near, the one with the lower code. */
function nearestE2m1(value: number): number {
  let best = 0
  let bestDistance = Number.POSITIVE_INFINITY
  for (let code = 0; code < 16; code++) {
    const distance = Math.abs(value - E2M1[code])
    if (distance < bestDistance) {
      best = code
      bestDistance = distance
    }
  }
  return best
}

function rint(x: number): number {
  return x < 0 ? -roundHalfEven(-x) : roundHalfEven(x)
}
