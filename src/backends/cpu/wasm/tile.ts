import { FUSED } from "./fused"
import { BYTES, form, group, groups } from "./quantize"
import { addDotBytes, dot, dotBytes, lookup16, madd, storeTransposed } from "./simd"
import { AFFINE, fromE8M0, loadBytes4, loadFloats, repeated, shiftedE2M1, unpackBits, Weight } from "./weight"

// Four rows of weights that are unpacked to bytes once, to multiply them with many rows of activations in bytes or planes of bytes.
// Lanes are rows of weights: four bytes of a row, four of the next. The sums of packed_dot.ts, of whose lanes each has every fourth
// group, are as many vectors.

/** Bytes of `tile4x2`'s room for a row of activations: four sums, and what zero points add to each. */
export const SUMS: usize = 128

/** Unpacks rows `first` to `first + 3`: `[K / 4, 4, 4]` bytes to `out`, in the order of the activations; `spare` has room for them, too. */
export function unpackTile(w: Weight, expert: u32, first: u32, out: usize, spare: usize): void {
  const data = w.data + expert * w.dataExpert + first * w.dataRow
  if (w.interleaved) unpackInterleaved(data, out)
  else if (w.bits == 4) unpackNibbles(data, w.dataRow, w.K, w.mode != AFFINE, out)
  else if (w.bits == 8) unpackBytes(data, w.dataRow, w.K, out)
  else {
    for (let r: u32 = 0; r < 4; r++) unpackBits<u8>(w, data + r * w.dataRow, spare + r * w.K)
    unpackBytes(spare, w.K, w.K, out)
  }
}

function unpackInterleaved(data: usize, out: usize): void {
  const table = v128.load(shiftedE2M1()), mask = i8x16.splat(15)
  for (let g: u32 = 0; g < groups; g++, data += 64, out += 128) {
    for (let at: usize = 0; at < 64; at += 16) {
      const packed = v128.load(data + at)
      v128.store(out + at, lookup16(table, v128.and(packed, mask)))
      v128.store(out + at, lookup16(table, v128.and(i16x8.shr_u(packed, 4), mask)), 64)
    }
  }
}

function unpackNibbles(data: usize, dataRow: usize, K: u32, e2m1: bool, out: usize): void {
  const table = v128.load(shiftedE2M1())
  for (const end = data + (K >> 1); data < end; data += 16, out += 128) {
    const a = v128.load(data), b = v128.load(data + dataRow), c = v128.load(data + 2 * dataRow), d = v128.load(data + 3 * dataRow)
    const mask = i8x16.splat(15)
    let e = v128.and(a, mask), f = v128.and(b, mask), g = v128.and(c, mask), h = v128.and(d, mask)
    if (e2m1) e = lookup16(table, e), f = lookup16(table, f), g = lookup16(table, g), h = lookup16(table, h)
    storeTransposed(e, f, g, h, out)
    e = v128.and(i16x8.shr_u(a, 4), mask), f = v128.and(i16x8.shr_u(b, 4), mask)
    g = v128.and(i16x8.shr_u(c, 4), mask), h = v128.and(i16x8.shr_u(d, 4), mask)
    if (e2m1) e = lookup16(table, e), f = lookup16(table, f), g = lookup16(table, g), h = lookup16(table, h)
    storeTransposed(e, f, g, h, out + 64)
  }
}

function unpackBytes(data: usize, dataRow: usize, K: u32, out: usize): void {
  for (const end = data + K; data < end; data += 16, out += 64) {
    storeTransposed(v128.load(data), v128.load(data + dataRow), v128.load(data + 2 * dataRow), v128.load(data + 3 * dataRow), out)
  }
}

/** The scales of rows `first` to `first + 3`, `[groups, 4]`, and of affine weights the biases likewise. */
export function unpackTileScales(w: Weight, expert: u32, first: u32, outScales: usize, outBiases: usize): void {
  const at = w.scales + expert * w.scalesExpert + first * w.scalesRow
  if (w.interleaved) {
    for (let g: u32 = 0; g < groups; g++) v128.store(outScales + (g << 4), fromE8M0(loadBytes4(at + (g << 2))))
  } else if (w.mode != AFFINE) {
    for (let g: u32 = 0; g < groups; g += 4) {
      const from = at + g
      storeTransposed(
        fromE8M0(loadBytes4(from)), fromE8M0(loadBytes4(from + w.scalesRow)),
        fromE8M0(loadBytes4(from + 2 * w.scalesRow)), fromE8M0(loadBytes4(from + 3 * w.scalesRow)), outScales + (g << 4),
      )
    }
  } else {
    unpackFloats(at, w.scalesRow, w.floats, w.group / group, outScales)
    unpackFloats(w.biases + expert * w.biasesExpert + first * w.biasesRow, w.biasesRow, w.biasesFloats, w.group / group, outBiases)
  }
}

/** `repeat`: activation groups in one of the weights'. */
function unpackFloats(at: usize, row: u32, type: u32, repeat: u32, out: usize): void {
  for (let g: u32 = 0; g < groups; g += 4) {
    const index = g / repeat
    storeTransposed(
      repeated(loadFloats(at, type, index), repeat), repeated(loadFloats(at + row, type, index), repeat),
      repeated(loadFloats(at + 2 * row, type, index), repeat), repeated(loadFloats(at + 3 * row, type, index), repeat),
      out + (g << 4),
    )
  }
}

/** Sixteen bytes of each row times as many activations, of which two to four sums are added so that they fit int16. */
// @ts-ignore: decorator
@inline
function half(w: usize, x: usize, ones: v128): v128 {
  return dot(
    i16x8.add(
      i16x8.add(dotBytes(v128.load32_splat(x), v128.load(w)), dotBytes(v128.load32_splat(x, 4), v128.load(w, 16))),
      i16x8.add(dotBytes(v128.load32_splat(x, 8), v128.load(w, 32)), dotBytes(v128.load32_splat(x, 12), v128.load(w, 48))),
    ), ones,
  )
}

/** As `half` for bytes of eight bits, added to `sums`. */
// @ts-ignore: decorator
@inline
function addHalf(w: usize, x: usize, sums: v128): v128 {
  sums = addDotBytes(v128.load32_splat(x), v128.load(w), sums)
  sums = addDotBytes(v128.load32_splat(x, 4), v128.load(w, 16), sums)
  sums = addDotBytes(v128.load32_splat(x, 8), v128.load(w, 32), sums)
  return addDotBytes(v128.load32_splat(x, 12), v128.load(w, 48), sums)
}

/** A group's products with activations in two planes. */
// @ts-ignore: decorator
@inline
function planesDot(pair: bool, w: usize, x: usize): v128 {
  let high = addHalf(w + 64, x + 32, addHalf(w, x, i32x4.splat(0)))
  let low = addHalf(w + 64, x + 48, addHalf(w, x + 16, i32x4.splat(0)))
  if (pair) {
    high = addHalf(w + 192, x + 96, addHalf(w + 128, x + 64, high))
    low = addHalf(w + 192, x + 112, addHalf(w + 128, x + 80, low))
  }
  return i32x4.add(i32x4.shl(high, 8), low)
}

/** A group's products with activations in bytes. */
// @ts-ignore: decorator
@inline
function bytesDot(w: usize, x: usize, ones: v128): v128 {
  if (FUSED) return i32x4.add(addHalf(w, x, i32x4.splat(0)), addHalf(w + 64, x + 16, i32x4.splat(0)))
  return i32x4.add(half(w, x, ones), half(w + 64, x + 16, ones))
}

/** Adds a group's products with one row of activations. */
// @ts-ignore: decorator
@inline
function addGroup(
  planes: bool, pair: bool, affine: bool, w: usize, scales: v128, biases: usize, x: usize, xScale: usize, toSums: usize,
  ones: v128, sums: usize
): void {
  let integers = planes ? planesDot(pair, w, x) : bytesDot(w, x, ones)
  if (affine) v128.store(sums, madd(v128.load(biases), v128.load32_splat(xScale + toSums), v128.load(sums, 64)), 64)
  else integers = i32x4.add(integers, v128.load32_splat(xScale + toSums))
  const scale = f32x4.mul(scales, v128.load32_splat(xScale))
  v128.store(sums, madd(f32x4.convert_i32x4_s(integers), scale, v128.load(sums)))
}

// @ts-ignore: decorator
@inline
function lanesOf(sums: usize): v128 {
  const a = f32x4.add(v128.load(sums), v128.load(sums, 64)), b = f32x4.add(v128.load(sums, 16), v128.load(sums, 80))
  const c = f32x4.add(v128.load(sums, 32), v128.load(sums, 96)), d = f32x4.add(v128.load(sums, 48), v128.load(sums, 112))
  return f32x4.add(f32x4.add(a, b), f32x4.add(c, d))
}

// @ts-ignore: decorator
@inline
function product4x2(
  planes: bool, pair: bool, affine: bool, two: bool, w: usize, scales: usize, biases: usize, x: usize, y: usize,
  xScales: usize, yScales: usize, toSums: usize, room: usize
): void {
  const ones = i16x8.splat(1)
  const wStep: u32 = 128 << u32(pair), xStep: u32 = 32 << (u32(pair) + u32(planes))
  memory.fill(room, 0, 2 * SUMS)
  for (let g: u32 = 0; g < groups; g++) {
    const four = v128.load(scales)
    const sums = room + ((g & 3) << 4)
    addGroup(planes, pair, affine, w, four, biases, x, xScales, toSums, ones, sums)
    if (two) addGroup(planes, pair, affine, w, four, biases, y, yScales, toSums, ones, sums + SUMS)
    w += wStep, x += xStep, y += xStep, scales += 16, biases += 16, xScales += 4, yScales += 4
  }
  v128.store(room, lanesOf(room))
  if (two) v128.store(room, lanesOf(room + SUMS), SUMS)
}

// A function each: one with all loops in it would run out of registers.

function bytes4x2(
  two: bool, w: usize, scales: usize, x: usize, y: usize, xScales: usize, yScales: usize, toSums: usize, room: usize
): void {
  if (two) product4x2(false, false, false, true, w, scales, scales, x, y, xScales, yScales, toSums, room)
  else product4x2(false, false, false, false, w, scales, scales, x, x, xScales, xScales, toSums, room)
}

function e2m1Planes4x2(
  two: bool, w: usize, scales: usize, x: usize, y: usize, xScales: usize, yScales: usize, toSums: usize, room: usize
): void {
  if (two) product4x2(true, false, false, true, w, scales, scales, x, y, xScales, yScales, toSums, room)
  else product4x2(true, false, false, false, w, scales, scales, x, x, xScales, xScales, toSums, room)
}

function affine4x2(
  two: bool, w: usize, scales: usize, biases: usize, x: usize, y: usize, xScales: usize, yScales: usize, toSums: usize,
  room: usize
): void {
  if (group == 64) {
    if (two) product4x2(true, true, true, true, w, scales, biases, x, y, xScales, yScales, toSums, room)
    else product4x2(true, true, true, false, w, scales, biases, x, x, xScales, xScales, toSums, room)
  } else if (two) product4x2(true, false, true, true, w, scales, biases, x, y, xScales, yScales, toSums, room)
  else product4x2(true, false, true, false, w, scales, biases, x, x, xScales, xScales, toSums, room)
}

/**
 * Four unpacked rows of weights times two of activations, or the first of them; from their scales to their sums it is `toSums` bytes.
 * The products with the first lie at `room` then, in the order of the rows, and those with the second `SUMS` bytes further.
 */
export function tile4x2(
  affine: bool, two: bool, w: usize, scales: usize, biases: usize, x: usize, y: usize, xScales: usize, yScales: usize,
  toSums: usize, room: usize
): void {
  if (form == BYTES) bytes4x2(two, w, scales, x, y, xScales, yScales, toSums, room)
  else if (affine) affine4x2(two, w, scales, biases, x, y, xScales, yScales, toSums, room)
  else e2m1Planes4x2(two, w, scales, x, y, xScales, yScales, toSums, room)
}
