import { fromFloat16, lookup16 } from "./simd"

/** Codes shared with weight_block.ts. */
export const FLOAT32: u32 = 0
export const BFLOAT16: u32 = 1
export const FLOAT16: u32 = 2

export const DENSE: u32 = 0
export const AFFINE: u32 = 1
export const MXFP4: u32 = 2
export const MXFP8: u32 = 3
export const NVFP4: u32 = 4

/** A matmul weight `[experts, rows, K]` as stored: where its parts are and how far apart rows and experts lie, in bytes. */
@unmanaged
export class Weight {
  mode: u32
  bits: u32
  group: u32
  K: u32
  data: usize
  dataRow: u32
  dataExpert: u32
  /** The float type of dense data, or of affine scales and biases. */
  floats: u32
  scales: usize
  scalesRow: u32
  scalesExpert: u32
  biases: usize
  biasesRow: u32
  biasesExpert: u32
  biasesFloats: u32
  /** Zero when there is none. */
  bias: usize
  biasRow: u32
  biasExpert: u32
  biasFloats: u32
  /** Bits of the integers that its products take activations as; 0: float32. */
  activations: u32
  /** Whether rows are interleaved four at a time: see interleaved.ts. */
  interleaved: bool
}

/** Four consecutive floats. Reads whole vectors: up to 15 bytes after the last float wanted. */
// @ts-ignore: decorator
@inline
export function loadFloats(at: usize, type: u32, index: usize): v128 {
  if (type == BFLOAT16) return i32x4.shl(v128.load16x4_u(at + (index << 1)), 16)
  if (type == FLOAT16) return fromFloat16(v128.load16x4_u(at + (index << 1)))
  return v128.load(at + (index << 2))
}

// @ts-ignore: decorator
@inline
export function loadFloat(at: usize, type: u32): f32 {
  if (type == BFLOAT16) return reinterpret<f32>(<u32>load<u16>(at) << 16)
  if (type == FLOAT16) return f32x4.extract_lane(fromFloat16(i32x4.splat(load<u16>(at))), 0)
  return load<f32>(at)
}

/** E8M0: 2^(bits - 127), of which the lowest is subnormal; 255 is NaN (OCP Microscaling Formats 1.0, 5.4.1). */
// @ts-ignore: decorator
@inline
export function fromE8M0(bits: v128): v128 {
  const lowest = i32x4.splat(0x400000)
  const finite = i32x4.max_u(i32x4.shl(bits, 23), lowest)
  return v128.or(finite, v128.and(i32x4.eq(bits, i32x4.splat(255)), lowest))
}

/** Four consecutive scale bytes, zero-extended to 32 bits. */
// @ts-ignore: decorator
@inline
export function loadBytes4(at: usize): v128 {
  return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(at)))
}

/** E4M3 without infinity: subnormals are normalised by the product; 0x7f is NaN. */
// @ts-ignore: decorator
@inline
export function fromE4M3(bits: v128): v128 {
  const magnitude = v128.and(bits, i32x4.splat(0x7f))
  const sign = i32x4.shl(v128.and(bits, i32x4.splat(0x80)), 24)
  const value = f32x4.mul(i32x4.shl(magnitude, 20), f32x4.splat(reinterpret<f32>(0x7b800000)))
  const nan = v128.and(i32x4.eq(magnitude, i32x4.splat(0x7f)), i32x4.splat(0x7fc00000))
  return v128.or(sign, v128.or(value, nan))
}

/** Twice the sixteen E2M1 values, as signed bytes. */
// @ts-ignore: decorator
@inline
export function e2m1Doubled(): v128 {
  return i8x16(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)
}

/** Where sixteen bytes lie, 12 more than twice the E2M1 values each. */
// @ts-ignore: decorator
@inline
export function shiftedE2M1(): usize {
  return memory.data<u8>([12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0], 16)
}

/** Four scales of a row from group `index` on, as float32. */
// @ts-ignore: decorator
@inline
export function loadScales(w: Weight, at: usize, index: u32): v128 {
  if (w.mode == AFFINE) return loadFloats(at, w.floats, index)
  const bytes = loadBytes4(at + index)
  return w.mode == NVFP4 ? fromE4M3(bytes) : fromE8M0(bytes)
}

/** The first lanes of four, each as often as there are activation groups in one of the weights'. */
// @ts-ignore: decorator
@inline
export function repeated(lanes: v128, repeat: u32): v128 {
  if (repeat == 1) return lanes
  return repeat == 2 ? v128.shuffle<i32>(lanes, lanes, 0, 0, 1, 1) : v128.shuffle<i32>(lanes, lanes, 0, 0, 0, 0)
}

/** One output's bias, zero if there is none. */
// @ts-ignore: decorator
@inline
export function outputBias(w: Weight, expert: u32, n: u32): f32 {
  if (w.bias == 0) return 0
  return loadFloat(w.bias + expert * w.biasExpert + n * w.biasRow, w.biasFloats)
}

/** One row's elements of any width: they lie in a little-endian bit stream, element 0 lowest, so that eight take as many bytes as one takes bits. */
export function unpackBits<T>(w: Weight, data: usize, out: usize): void {
  const bits = w.bits
  const mask: u64 = (1 << bits) - 1
  const step = sizeof<T>()
  for (const end = out + w.K * <u32>step; out < end; out += step << 3, data += bits) {
    // Rows are read a few bytes beyond their end: memory ends later.
    let word = load<u64>(data)
    for (let i: usize = 0; i < step << 3; i += step, word >>= bits) store<T>(out + i, <T>(word & mask))
  }
}

/** Decodes one row to float32: `fl(fl(q * scale) + bias)` for affine, `element * scale` for the others. */
export function decodeRow(w: Weight, expert: u32, n: u32, out: usize): void {
  if (w.interleaved) {
    decodeInterleaved(w, expert, n, out)
    return
  }
  const data = w.data + expert * w.dataExpert + n * w.dataRow
  const K = w.K
  if (w.mode == DENSE) {
    const whole = K & ~3
    for (let k: u32 = 0; k < whole; k += 4) v128.store(out + (k << 2), loadFloats(data, w.floats, k))
    for (let k = whole; k < K; k++) store<f32>(out + (k << 2), loadFloat(data + (k << (w.floats == FLOAT32 ? 2 : 1)), w.floats))
    return
  }
  const scales = w.scales + expert * w.scalesExpert + n * w.scalesRow
  const biases = w.biases + expert * w.biasesExpert + n * w.biasesRow
  const group = w.group
  const groups = K / group
  for (let g: u32 = 0; g < groups; g++) {
    const scale = v128.shuffle<f32>(loadScales(w, scales, g), f32x4.splat(0), 0, 0, 0, 0)
    const from = g * group
    if (w.mode == AFFINE) {
      const bias = f32x4.splat(loadFloat(biases + (g << (w.biasesFloats == FLOAT32 ? 2 : 1)), w.biasesFloats))
      if (w.bits == 8) decodeBytes(data + from, group, scale, bias, out + (from << 2))
      else decodeBits(data, w.bits, from, group, scale, bias, out)
    } else if (w.mode == MXFP8) {
      for (let k = from; k < from + group; k += 4) {
        v128.store(out + (k << 2), f32x4.mul(fromE4M3(loadBytes4(data + k)), scale))
      }
    } else {
      const halfScale = f32x4.mul(scale, f32x4.splat(0.5))
      for (let k = from; k < from + group; k += 8) decodeE2M1(v128.load32_zero(data + (k >> 1)), halfScale, out + (k << 2))
    }
  }
}

/** A row of MXFP4 that is interleaved with three others. */
function decodeInterleaved(w: Weight, expert: u32, n: u32, out: usize): void {
  const first = n & ~3, r = n & 3
  let data = w.data + expert * w.dataExpert + first * w.dataRow + (r << 2)
  let scales = w.scales + expert * w.scalesExpert + first * w.scalesRow + r
  for (const end = out + (w.K << 2); out < end; out += 128, data += 64, scales += 4) {
    const scale = v128.shuffle<f32>(fromE8M0(loadBytes4(scales)), f32x4.splat(0), 0, 0, 0, 0)
    const halfScale = f32x4.mul(scale, f32x4.splat(0.5))
    for (let word: usize = 0; word < 4; word++) decodeE2M1(v128.load32_zero(data + (word << 4)), halfScale, out + (word << 5))
  }
}

// @ts-ignore: decorator
@inline
function decodeBytes(data: usize, count: u32, scale: v128, bias: v128, out: usize): void {
  for (let k: u32 = 0; k < count; k += 4) {
    const q = f32x4.convert_i32x4_s(loadBytes4(data + k))
    v128.store(out + (k << 2), f32x4.add(f32x4.mul(q, scale), bias))
  }
}

/** Elements of any width lie in a little-endian bit stream, element 0 lowest. A group of 32 starts on a byte. */
function decodeBits(data: usize, bits: u32, from: u32, count: u32, scale: v128, bias: v128, out: usize): void {
  const s = f32x4.extract_lane(scale, 0)
  const b = f32x4.extract_lane(bias, 0)
  const mask = (1 << bits) - 1
  for (let k = from; k < from + count; k++) {
    const bit = k * bits
    const at = data + (bit >> 3)
    // An element of 3, 5 or 6 bits may reach into the next byte, which then belongs to the row.
    const low = <u32>load<u8>(at)
    const word = (bit & 7) + bits > 8 ? low | ((<u32>load<u8>(at, 1)) << 8) : low
    store<f32>(out + (k << 2), <f32>((word >> (bit & 7)) & mask) * s + b)
  }
}

/** The first eight nibbles. */
// @ts-ignore: decorator
@inline
function decodeE2M1(packed: v128, halfScale: v128, out: usize): void {
  const low = v128.and(packed, i8x16.splat(15))
  const high = v128.and(i16x8.shr_u(packed, 4), i8x16.splat(15))
  const codes = v128.shuffle<i8>(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 0, 0, 0, 0, 0, 0, 0, 0)
  const values = i16x8.extend_low_i8x16_s(lookup16(e2m1Doubled(), codes))
  v128.store(out, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(values)), halfScale))
  v128.store(out, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(values)), halfScale), 16)
}
