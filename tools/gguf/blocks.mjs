// Elements in ggml's blocks of 32, as ggml/src/ggml-common.h lays them out and ggml-quants.c fills them.
import { float32ToFloat16 } from "../../dist/src/tensor/floats.js"

const BLOCK = 32

/** Q8_0: a float16 scale, then 32 int8. Rounds as `quantize_row_q8_0_ref`. */
export function toQ8_0(values) {
  const blocks = values.length / BLOCK
  const out = new Uint8Array(blocks * 34)
  const quants = new Int8Array(out.buffer)
  for (let block = 0; block < blocks; block++) {
    const [from, to] = [block * BLOCK, block * 34]
    let largest = 0
    for (let i = from; i < from + BLOCK; i++) largest = Math.max(largest, Math.abs(values[i]))
    const scale = Math.fround(largest / 127)
    const inverse = scale ? Math.fround(1 / scale) : 0
    const half = float32ToFloat16(scale)
    out[to] = half & 0xff
    out[to + 1] = half >> 8
    for (let i = 0; i < BLOCK; i++) {
      const x = Math.fround(values[from + i] * inverse)
      quants[to + 2 + i] = x < 0 ? -Math.round(-x) : Math.round(x)
    }
  }
  return out
}

/**
 * MXFP4: the E8M0 scale, then 16 bytes of which byte `j` holds elements `j` (low nibble) and `j + 16`.
 *
 * @param packed MLX's rows, and OpenAI's: byte `j` of a block holds elements `2j` (low nibble) and `2j + 1`
 * @param scales one a block
 */
export function toMxfp4(packed, scales) {
  const out = new Uint8Array(scales.length * 17)
  for (let block = 0; block < scales.length; block++) {
    const [from, to] = [block * 16, block * 17 + 1]
    out[to - 1] = scales[block]
    for (let j = 0; j < 8; j++) {
      const [low, high] = [packed[from + j], packed[from + 8 + j]]
      out[to + 2 * j] = (low & 15) | ((high & 15) << 4)
      out[to + 2 * j + 1] = (low >> 4) | (high & 0xf0)
    }
  }
  return out
}
