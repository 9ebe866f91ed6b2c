import type { FloatDType } from "./floats.js"
import { float8E4m3ToFloat32 } from "./floats.js"
import type { Quantization } from "./quantization.js"
import { packedRowBytes } from "./quantization.js"

/** The sixteen values of FP4 E2M1, sign in bit 3 (OCP Microscaling Formats 1.0, section 5.3.3). */
export const E2M1 = Float32Array.of(0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6)

/** The meaning of a scale byte; null where scales are stored in the weights' own float dtype (affine). */
export function scaleDType(quantization: Quantization): FloatDType | null {
  if (quantization.mode === "affine") return null
  return quantization.mode === "nvfp4" ? "float8_e4m3" : "float8_e8m0"
}

/**
 * Expands one packed row of `out.length` elements with MLX's semantics (`mx.dequantize` in float32):
 * affine `fl(fl(q * scale) + bias)`, the others `element * scale`.
 *
 * `weight` holds the row's packed bytes, `scales` (and for affine `biases`) one float per group of `group_size`, decoded
 * by `decodeFloats` with the stored dtype or `scaleDType`. Throws RangeError when the lengths do not fit together.
 */
export function dequantizeRow(
  quantization: Quantization,
  weight: Uint8Array,
  scales: Float32Array,
  biases: Float32Array | null,
  out: Float32Array,
): void {
  checkRow(quantization, out.length, weight, scales, biases)
  const { group_size } = quantization
  if (quantization.mode === "affine") {
    unpack(quantization.bits, weight, out)
    for (let group = 0; group < scales.length; group++) {
      const scale = scales[group]
      const bias = biases![group]
      const end = (group + 1) * group_size
      for (let i = group * group_size; i < end; i++) out[i] = Math.fround(out[i] * scale) + bias
    }
    return
  }
  for (let i = 0; i < out.length; i++) {
    const element =
      quantization.bits === 8 ? float8E4m3ToFloat32(weight[i]) : E2M1[(weight[i >> 1] >> (4 * (i & 1))) & 15]
    out[i] = element * scales[Math.floor(i / group_size)]
  }
}

/** Element `i` of a row sits in bits `i * bits` and up of the little-endian bit stream. */
function unpack(bits: number, packed: Uint8Array, out: Float32Array): void {
  const mask = (1 << bits) - 1
  const last = packed.length - 1
  for (let i = 0; i < out.length; i++) {
    const bit = i * bits
    const byte = bit >> 3
    const next = byte < last ? packed[byte + 1] << 8 : 0
    out[i] = ((packed[byte] | next) >> (bit & 7)) & mask
  }
}

/** Throws RangeError unless the parts of a packed row of `K` elements have the lengths that `quantization` implies. */
export function checkRow(
  quantization: Quantization,
  K: number,
  weight: Uint8Array,
  scales: Float32Array,
  biases: Float32Array | null,
): void {
  const { mode, bits, group_size } = quantization
  const groups = K / group_size
  if (!Number.isInteger(groups)) {
    throw new RangeError(`${K} elements do not divide into groups of ${group_size} (${mode}, ${bits} bits)`)
  }
  if (weight.length !== packedRowBytes(quantization, K)) {
    throw new RangeError(`${K} elements of ${bits} bits take ${(K * bits) / 8} bytes, found ${weight.length}`)
  }
  if (scales.length !== groups || (biases?.length ?? 0) !== (mode === "affine" ? groups : 0)) {
    throw new RangeError(
      `${K} elements in groups of ${group_size} need ${groups} scales${mode === "affine" ? " and biases" : " and no biases"}, ` +
        `found ${scales.length} and ${biases?.length ?? 0}`,
    )
  }
}
