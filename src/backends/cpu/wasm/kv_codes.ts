import { lookup16 } from "./simd"

// Vectors quantized to 4 or 8 bits: what the codes stand for times a scale, whose own code, of eight bits, is hidden in them.
// The format is described in tensor/kv_format.ts.

/** The scale of code 1 is 2^(this - 127) and an eighth more. */
export const EXPONENT4: u32 = 98
export const EXPONENT8: u32 = 105

/** The sixteen levels of 4 bits, by their bytes: odd * (450 + odd^2) for odd from -15 to 15. */
const LEVELS_LOW = memory.data<u8>([115, 145, 119, 85, 91, 185, 159, 61, 195, 97, 71, 165, 171, 137, 111, 141], 16)
const LEVELS_HIGH = memory.data<u8>([216, 224, 231, 237, 242, 246, 250, 254, 1, 5, 9, 13, 18, 24, 31, 39], 16)

export function scaleOf(code: u32, exponent: u32): f32 {
  if (code == 0) return 0
  return code == 255 ? NaN : reinterpret<f32>((code + 8 * exponent) << 20)
}

/** All bits of `bytes`, a multiple of 4, that are at the same place of 16 bytes, added without carry. */
// @ts-ignore: decorator
@inline
function parities(from: usize, bytes: u32): v128 {
  let all = i32x4.splat(0)
  let at: u32 = 0
  for (; at + 16 <= bytes; at += 16) all = v128.xor(all, v128.load(from + at))
  for (; at + 8 <= bytes; at += 8) all = v128.xor(all, v128.load64_zero(from + at))
  if (at < bytes) all = v128.xor(all, v128.load32_zero(from + at))
  return v128.xor(all, v128.shuffle<i64>(all, all, 1, 0))
}

/** The lowest bits of the first eight bytes. */
// @ts-ignore: decorator
@inline
function lowestBits(bytes: v128): u32 {
  return i8x16.bitmask(i8x16.shl(bytes, 7)) & 255
}

/** Bytes of eight or sixteen codes to one a byte. */
// @ts-ignore: decorator
@inline
function spread(packed: v128): v128 {
  const low = v128.and(packed, i8x16.splat(15))
  const high = v128.and(i16x8.shr_u(packed, 4), i8x16.splat(15))
  return v128.shuffle<i8>(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
}

// @ts-ignore: decorator
@inline
function store8(values: v128, scale: v128, to: usize): void {
  v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(values)), scale))
  v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(values)), scale), 16)
}

/** D codes of 4 bits to float32. */
// @ts-ignore: decorator
@inline
export function decode4(from: usize, D: u32, to: usize): void {
  const all = parities(from, D >> 1)
  const parity = spread(v128.xor(all, v128.shuffle<i32>(all, all, 1, 0, 3, 2)))
  const scale = f32x4.splat(scaleOf(lowestBits(parity), EXPONENT4))
  const lows = v128.load(LEVELS_LOW)
  const highs = v128.load(LEVELS_HIGH)
  let d: u32 = 0
  for (; d + 16 <= D; d += 16, from += 8, to += 64) {
    const codes = spread(v128.load64_zero(from))
    const low = lookup16(lows, codes)
    const high = lookup16(highs, codes)
    store8(v128.shuffle<i8>(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), scale, to)
    store8(v128.shuffle<i8>(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), scale, to + 32)
  }
  if (d < D) {
    const codes = spread(v128.load32_zero(from))
    const low = lookup16(lows, codes)
    const high = lookup16(highs, codes)
    store8(v128.shuffle<i8>(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), scale, to)
  }
}

/** D codes of 8 bits to float32. */
// @ts-ignore: decorator
@inline
export function decode8(from: usize, D: u32, to: usize): void {
  const scale = f32x4.splat(scaleOf(lowestBits(parities(from, D)), EXPONENT8))
  let d: u32 = 0
  for (; d + 16 <= D; d += 16, from += 16, to += 64) {
    const codes = v128.load(from)
    store8(i16x8.extend_low_i8x16_s(codes), scale, to)
    store8(i16x8.extend_high_i8x16_s(codes), scale, to + 32)
  }
  if (d < D) store8(i16x8.extend_low_i8x16_s(v128.load64_zero(from)), scale, to)
}
