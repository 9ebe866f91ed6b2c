import { FUSED } from "./fused"
import { groups } from "./quantize"
import { share } from "./share"
import { addDotBytes, dot, dotBytes, lookup16, madd, storeTransposed } from "./simd"
import { fromE8M0, loadBytes4, shiftedE2M1 } from "./weight"

// MXFP4 weights whose rows are interleaved, four at a time, when they are loaded: lanes are rows of weights then, so that nothing is
// added across lanes, and a scale and an activation serve four rows.

/** Rows that are interleaved with each other. */
export const TOGETHER: u32 = 4

/**
 * Interleaves the rows of a matrix `[rows, rowBytes]` where they lie, in pieces of `unit` bytes, 1 or 4: `[rows / 4, rowBytes / unit,
 * 4, unit]`. Rows of pieces of 4 are whole vectors.
 *
 * @param scratch four rows for each part
 */
export function interleave(
  data: usize, rows: u32, rowBytes: u32, unit: u32, scratch: usize, part: u32, parts: u32
): void {
  const bytes = rowBytes * TOGETHER
  const end = data + share(rows, TOGETHER, part + 1, parts) * rowBytes
  for (let block = data + share(rows, TOGETHER, part, parts) * rowBytes; block < end; block += bytes) {
    memory.copy(scratch, block, bytes)
    if (unit == 4) interleaveWords(scratch, rowBytes, block)
    else interleaveBytes(scratch, rowBytes, block)
  }
}

function interleaveWords(from: usize, rowBytes: u32, to: usize): void {
  const b = from + rowBytes, c = b + rowBytes, d = c + rowBytes
  for (let at: usize = 0; at < rowBytes; at += 16) {
    storeTransposed(v128.load(from + at), v128.load(b + at), v128.load(c + at), v128.load(d + at), to + (at << 2))
  }
}

function interleaveBytes(from: usize, rowBytes: u32, to: usize): void {
  const b = from + rowBytes, c = b + rowBytes, d = c + rowBytes
  for (let at: usize = 0; at < rowBytes; at++, to += 4) {
    const low = <u32>load<u8>(from + at) | (<u32>load<u8>(b + at) << 8)
    store<u32>(to, low | (<u32>load<u8>(c + at) << 16) | (<u32>load<u8>(d + at) << 24))
  }
}

/** Read from memory: constants would be made anew at every use. Four last: of four scales a row each, the bytes to the top of the lanes. */
// @ts-ignore: decorator
@lazy
const CONSTANTS = memory.data<u8>([
  15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0,
  128, 128, 128, 0, 128, 128, 128, 1, 128, 128, 128, 2, 128, 128, 128, 3,
  128, 128, 128, 4, 128, 128, 128, 5, 128, 128, 128, 6, 128, 128, 128, 7,
  128, 128, 128, 8, 128, 128, 128, 9, 128, 128, 128, 10, 128, 128, 128, 11,
  128, 128, 128, 12, 128, 128, 128, 13, 128, 128, 128, 14, 128, 128, 128, 15,
], 16)

/** The sums of a group's products, a row in each lane, and what the offset of E2M1 adds. */
// @ts-ignore: decorator
@inline
function groupDot(w: usize, x: usize, table: v128, mask: v128, ones: v128, offset: usize): v128 {
  const a = v128.load(w), b = v128.load(w, 16), c = v128.load(w, 32), d = v128.load(w, 48)
  const start = v128.load32_splat(offset)
  if (FUSED) {
    let even = addDotBytes(v128.load32_splat(x), low(a, table, mask), start)
    let odd = addDotBytes(v128.load32_splat(x, 16), high(a, table, mask), i32x4.splat(0))
    even = addDotBytes(v128.load32_splat(x, 4), low(b, table, mask), even)
    odd = addDotBytes(v128.load32_splat(x, 20), high(b, table, mask), odd)
    even = addDotBytes(v128.load32_splat(x, 8), low(c, table, mask), even)
    odd = addDotBytes(v128.load32_splat(x, 24), high(c, table, mask), odd)
    even = addDotBytes(v128.load32_splat(x, 12), low(d, table, mask), even)
    odd = addDotBytes(v128.load32_splat(x, 28), high(d, table, mask), odd)
    return i32x4.add(even, odd)
  }
  // Four sums of two products fit int16.
  let even = dotBytes(v128.load32_splat(x), low(a, table, mask))
  let odd = dotBytes(v128.load32_splat(x, 16), high(a, table, mask))
  even = i16x8.add(even, dotBytes(v128.load32_splat(x, 4), low(b, table, mask)))
  odd = i16x8.add(odd, dotBytes(v128.load32_splat(x, 20), high(b, table, mask)))
  even = i16x8.add(even, dotBytes(v128.load32_splat(x, 8), low(c, table, mask)))
  odd = i16x8.add(odd, dotBytes(v128.load32_splat(x, 24), high(c, table, mask)))
  even = i16x8.add(even, dotBytes(v128.load32_splat(x, 12), low(d, table, mask)))
  odd = i16x8.add(odd, dotBytes(v128.load32_splat(x, 28), high(d, table, mask)))
  return i32x4.add(i32x4.add(dot(even, ones), dot(odd, ones)), start)
}

// @ts-ignore: decorator
@inline
function low(packed: v128, table: v128, mask: v128): v128 {
  return lookup16(table, v128.and(packed, mask))
}

// @ts-ignore: decorator
@inline
function high(packed: v128, table: v128, mask: v128): v128 {
  return lookup16(table, v128.and(i16x8.shr_u(packed, 4), mask))
}

/** Adds a group's products, given the scales of its rows. */
// @ts-ignore: decorator
@inline
function addGroup(integers: v128, scale: v128, xScale: usize, total: v128): v128 {
  return madd(f32x4.convert_i32x4_s(integers), f32x4.mul(scale, v128.load32_splat(xScale)), total)
}

/** The fourth group's scales of four in `bytes`, which `pick` looks up; none is zero or 255. */
// @ts-ignore: decorator
@inline
function quickScales(bytes: v128, pick: usize): v128 {
  return i32x4.shr_u(lookup16(bytes, v128.load(pick)), 1)
}

/**
 * Four interleaved rows of weights times one row of activations of int8, with the same rounding as in packed_dot.ts, of whose lanes
 * each has every fourth group.
 */
export function interleaved4x1(w: usize, scales: usize, x: usize, xScales: usize, xSums: usize): v128 {
  const table = v128.load(shiftedE2M1()), mask = v128.load(CONSTANTS), ones = v128.load(CONSTANTS, 16)
  let a = f32x4.splat(0), b = a, c = a, d = a
  let extreme = i8x16.splat(0)
  let g: u32 = 0
  for (const whole = groups & ~3; g < whole; g += 4, w += 256, x += 128, xScales += 16, xSums += 16) {
    const bytes = v128.load(scales + (g << 2))
    extreme = i8x16.max_u(extreme, i8x16.sub(bytes, i8x16.splat(1)))
    a = addGroup(groupDot(w, x, table, mask, ones, xSums), quickScales(bytes, CONSTANTS + 32), xScales, a)
    b = addGroup(groupDot(w + 64, x + 32, table, mask, ones, xSums + 4), quickScales(bytes, CONSTANTS + 48), xScales + 4, b)
    c = addGroup(groupDot(w + 128, x + 64, table, mask, ones, xSums + 8), quickScales(bytes, CONSTANTS + 64), xScales + 8, c)
    d = addGroup(groupDot(w + 192, x + 96, table, mask, ones, xSums + 12), quickScales(bytes, CONSTANTS + 80), xScales + 12, d)
  }
  const back = g
  if (v128.any_true(i8x16.ge_u(extreme, i8x16.splat(-2)))) {
    return interleavedSlowly(w - (back << 6), scales, x - (back << 5), xScales - (back << 2), xSums - (back << 2))
  }
  for (; g < groups; g++, w += 64, x += 32, xScales += 4, xSums += 4) {
    const scale = fromE8M0(loadBytes4(scales + (g << 2)))
    const integers = groupDot(w, x, table, mask, ones, xSums)
    if ((g & 3) == 0) a = addGroup(integers, scale, xScales, a)
    else if ((g & 3) == 1) b = addGroup(integers, scale, xScales, b)
    else c = addGroup(integers, scale, xScales, c)
  }
  return f32x4.add(f32x4.add(a, b), f32x4.add(c, d))
}

/** As `interleaved4x1`, with scales of zero and 255, too: 2^-127 and not a number. */
function interleavedSlowly(w: usize, scales: usize, x: usize, xScales: usize, xSums: usize): v128 {
  const table = v128.load(shiftedE2M1()), mask = v128.load(CONSTANTS), ones = v128.load(CONSTANTS, 16)
  let a = f32x4.splat(0), b = a, c = a, d = a
  for (let g: u32 = 0; g < groups; g++, w += 64, x += 32, xScales += 4, xSums += 4) {
    const sum = addGroup(groupDot(w, x, table, mask, ones, xSums), fromE8M0(loadBytes4(scales + (g << 2))), xScales, a)
    // The four sums take turns.
    a = b, b = c, c = d, d = sum
  }
  for (let g = groups; (g & 3) != 0; g++) {
    const sum = a
    a = b, b = c, c = d, d = sum
  }
  return f32x4.add(f32x4.add(a, b), f32x4.add(c, d))
}
