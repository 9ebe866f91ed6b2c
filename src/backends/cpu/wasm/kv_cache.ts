import { hadamard } from "./hadamard"
import { decode4, decode8 } from "./kv_codes"
import { encodeCodes } from "./kv_encode"
import { decodeFloat16, toFloat16 } from "./simd"

// How keys and values are kept: codes shared with descriptors.ts.
export const FLOAT32: u32 = 0
export const FLOAT16: u32 = 1
export const INT8: u32 = 2
export const INT4: u32 = 3

/** Whether vectors are kept rotated. */
// @ts-ignore: decorator
@inline
export function isRotated(format: u32): bool {
  return format >= INT8
}

/** Bytes of one head's vector of D elements. */
// @ts-ignore: decorator
@inline
export function vectorBytes(format: u32, D: u32): u32 {
  return D << 2 >> format
}

/**
 * Writes rows of heads of D elements into their slots, each its own, in place. Rows go to parts in turn. `scratch`: 14 bytes an
 * element of a vector.
 */
export function kv_append(
  cache: usize, count: u32, heads: u32, D: u32, format: u32, x: usize, rows: u32, slots: usize, scratch: usize, part: u32,
  parts: u32
): void {
  const bytes = vectorBytes(format, D)
  for (let row = part; row < rows; row += parts) {
    const slot = load<u32>(slots + (row << 2))
    if (slot >= count) unreachable()
    const to = cache + slot * heads * bytes
    const from = x + (row * heads * D << 2)
    if (format == FLOAT32) memory.copy(to, from, heads * bytes)
    else if (format == FLOAT16) encodeFloat16(from, heads * D, to)
    else for (let h: u32 = 0; h < heads; h++) encodeRotated(format, from + (h * D << 2), D, to + h * bytes, scratch)
  }
}

function encodeFloat16(from: usize, count: u32, to: usize): void {
  let i: u32 = 0
  for (; i + 8 <= count; i += 8) {
    const at = from + (i << 2)
    v128.store(to + (i << 1), i16x8.narrow_i32x4_u(toFloat16(v128.load(at)), toFloat16(v128.load(at, 16))))
  }
  for (; i < count; i++) {
    store<u16>(to + (i << 1), <u16>i32x4.extract_lane(toFloat16(v128.load32_splat(from + (i << 2))), 0))
  }
}

function encodeRotated(format: u32, from: usize, D: u32, to: usize, scratch: usize): void {
  copyFloats(from, D << 2, scratch)
  hadamard(scratch, D)
  encodeCodes(scratch, D, format == INT4 ? 4 : 8, to, scratch + (D << 2))
}

/**
 * Vectors of D elements that lie `stride` bytes apart, as float32 rows of D rounded up to 4. Reads whole vectors, and leaves
 * anything beyond the Dth.
 */
export function decodeVectors(format: u32, from: usize, stride: u32, count: u32, D: u32, into: usize): void {
  const row = (D + 3 & ~3) << 2
  for (const end = into + count * row; into < end; into += row, from += stride) {
    if (format == FLOAT32) copyFloats(from, row, into)
    else if (format == FLOAT16) decodeFloats16(from, row, into)
    else if (format == INT8) decode8(from, D, into)
    else decode4(from, D, into)
  }
}

/** Copies floats, by whole vectors. */
// @ts-ignore: decorator
@inline
export function copyFloats(from: usize, bytes: u32, into: usize): void {
  let at: u32 = 0
  for (; at + 64 <= bytes; at += 64) {
    v128.store(into + at, v128.load(from + at))
    v128.store(into + at, v128.load(from + at, 16), 16)
    v128.store(into + at, v128.load(from + at, 32), 32)
    v128.store(into + at, v128.load(from + at, 48), 48)
  }
  for (; at < bytes; at += 16) v128.store(into + at, v128.load(from + at))
}

// @ts-ignore: decorator
@inline
function decodeFloats16(from: usize, bytes: u32, into: usize): void {
  let at: u32 = 0
  for (; at + 32 <= bytes; at += 32, from += 16) {
    v128.store(into + at, decodeFloat16(v128.load16x4_s(from)))
    v128.store(into + at, decodeFloat16(v128.load16x4_s(from, 8)), 16)
  }
  if (at < bytes) v128.store(into + at, decodeFloat16(v128.load16x4_s(from)))
}
