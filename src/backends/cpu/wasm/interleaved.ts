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

/** The elements of low nibbles, from E2M1's table. */
// @ts-ignore: decorator
@inline
export function low(packed: v128, table: v128, mask: v128): v128 {
  return lookup16(table, v128.and(packed, mask))
}

/** Those of high nibbles. */
// @ts-ignore: decorator
@inline
export function high(packed: v128, table: v128, mask: v128): v128 {
  return lookup16(table, v128.and(i16x8.shr_u(packed, 4), mask))
}

/** Adds a group's products, given the scales of its rows. */
// @ts-ignore: decorator
@inline
export function addGroup(integers: v128, scale: v128, xScale: usize, total: v128): v128 {
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
  if (v128.any_true(i8x16.ge_u(extreme, i8x16.splat(-2)))) {
    return interleavedSlowly(w - (g << 6), scales, x - (g << 5), xScales - (g << 2), xSums - (g << 2))
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

/** Adds the products of a group of four rows with two rows of activations to `sums`, and `SUMS` bytes further. */
// @ts-ignore: decorator
@inline
function addGroups(
  w: usize, scale: v128, x: usize, y: usize, xScale: usize, yScale: usize, toSums: usize, table: v128, mask: v128, ones: v128,
  sums: usize
): void {
  let xs = v128.load32_splat(xScale + toSums), ys = v128.load32_splat(yScale + toSums)
  if (FUSED) {
    // Each half on its own: an instruction waits for the sum that it adds to.
    let x2 = i32x4.splat(0), y2 = i32x4.splat(0)
    for (let at: usize = 0; at < 16; at += 4) {
      const packed = v128.load(w + (at << 2))
      const even = low(packed, table, mask), odd = high(packed, table, mask)
      xs = addDotBytes(v128.load32_splat(x + at), even, xs), x2 = addDotBytes(v128.load32_splat(x + at, 16), odd, x2)
      ys = addDotBytes(v128.load32_splat(y + at), even, ys), y2 = addDotBytes(v128.load32_splat(y + at, 16), odd, y2)
    }
    xs = i32x4.add(xs, x2), ys = i32x4.add(ys, y2)
  } else {
    // Four sums of two products fit int16.
    let x1 = i16x8.splat(0), x2 = x1, y1 = x1, y2 = x1
    for (let at: usize = 0; at < 16; at += 4) {
      const packed = v128.load(w + (at << 2))
      const even = low(packed, table, mask), odd = high(packed, table, mask)
      x1 = i16x8.add(x1, dotBytes(v128.load32_splat(x + at), even)), x2 = i16x8.add(x2, dotBytes(v128.load32_splat(x + at, 16), odd))
      y1 = i16x8.add(y1, dotBytes(v128.load32_splat(y + at), even)), y2 = i16x8.add(y2, dotBytes(v128.load32_splat(y + at, 16), odd))
    }
    xs = i32x4.add(xs, i32x4.add(dot(x1, ones), dot(x2, ones))), ys = i32x4.add(ys, i32x4.add(dot(y1, ones), dot(y2, ones)))
  }
  v128.store(sums, addGroup(xs, scale, xScale, v128.load(sums)))
  v128.store(sums, addGroup(ys, scale, yScale, v128.load(sums, SUMS)), SUMS)
}

/** Bytes that four sums take. */
export const SUMS: usize = 64

/**
 * As `interleaved4x1` with two rows of activations, from whose scales to their sums it is `toSums` bytes. The products with the first
 * lie at `room` then, and those with the second `SUMS` bytes further.
 */
export function interleaved4x2(
  w: usize, scales: usize, x: usize, y: usize, xScales: usize, yScales: usize, toSums: usize, room: usize
): void {
  const table = v128.load(shiftedE2M1()), mask = v128.load(CONSTANTS), ones = v128.load(CONSTANTS, 16)
  memory.fill(room, 0, 2 * SUMS)
  let extreme = i8x16.splat(0)
  for (let g: u32 = 0; g < groups; g++) {
    const bytes = v128.load32_splat(scales + (g << 2))
    extreme = i8x16.max_u(extreme, i8x16.sub(bytes, i8x16.splat(1)))
    const at = g << 2
    addGroups(
      w + (g << 6), quickScales(bytes, CONSTANTS + 32), x + (g << 5), y + (g << 5), xScales + at, yScales + at, toSums,
      table, mask, ones, room + ((g & 3) << 4),
    )
  }
  if (v128.any_true(i8x16.ge_u(extreme, i8x16.splat(-2)))) {
    v128.store(room, interleavedSlowly(w, scales, x, xScales, xScales + toSums))
    v128.store(room, interleavedSlowly(w, scales, y, yScales, yScales + toSums), SUMS)
    return
  }
  v128.store(room, total(room))
  v128.store(room, total(room + SUMS), SUMS)
}

/** What four sums come to, in the order of packed_dot.ts. */
// @ts-ignore: decorator
@inline
export function total(sums: usize): v128 {
  return f32x4.add(
    f32x4.add(v128.load(sums), v128.load(sums, 16)), f32x4.add(v128.load(sums, 32), v128.load(sums, 48))
  )
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
