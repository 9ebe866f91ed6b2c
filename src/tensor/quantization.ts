/**
 * How a weight's last axis is packed, described as data. Row bytes are `K * bits / 8`, little-endian, element 0 in the
 * lowest bits (MLX stores them as uint32 words, Hugging Face as uint8: the bytes are the same).
 *
 * - `affine`: `w = scale * q + bias` per group; scales and biases in bf16, f16 or f32 (MLX `mx.quantize`).
 * - `mxfp4`: E2M1 elements, one E8M0 scale byte per 32 (OCP Microscaling Formats 1.0).
 * - `mxfp8`: E4M3 elements, one E8M0 scale byte per 32.
 * - `nvfp4`: E2M1 elements, one E4M3 scale byte per 16.
 */
export type Quantization =
  | { readonly mode: "affine"; readonly bits: 2 | 3 | 4 | 5 | 6 | 8; readonly group_size: 32 | 64 | 128 }
  | { readonly mode: "mxfp4"; readonly bits: 4; readonly group_size: 32 }
  | { readonly mode: "mxfp8"; readonly bits: 8; readonly group_size: 32 }
  | { readonly mode: "nvfp4"; readonly bits: 4; readonly group_size: 16 }

/** Bytes of one packed row of `K` elements. */
export function packedRowBytes(quantization: Quantization, K: number): number {
  return (K * quantization.bits) / 8
}
