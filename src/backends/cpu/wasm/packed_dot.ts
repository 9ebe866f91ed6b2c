import { FUSED } from "./fused"
import { BYTES, form, groups } from "./quantize"
import { addDotBytes, dot, dotBytes, firstLanes, lookup16, madd, sum, sums16, sums32, together } from "./simd"
import { fromE8M0, loadBytes4, loadFloats, MXFP4, repeated, shiftedE2M1, Weight } from "./weight"

/**
 * Products of one packed row of weights with one row of quantized activations (see quantize.ts). Weights are unsigned integers
 * times a scale per group, and a zero point. Groups are worked on four at a time: their integer sums, which are exact, stand in
 * four lanes, one rounding adds them to four sums of floats, and unpacked_dot.ts and tile.ts add in the same order, so that an
 * output has the same bits whichever of them computed it.
 */

/** 32 bytes times 32 activations of int16. */
// @ts-ignore: decorator
@inline
function dotWideBytes(w: usize, x: usize): v128 {
  return i32x4.add(
    i32x4.add(dot(v128.load8x8_u(w), v128.load(x)), dot(v128.load8x8_u(w, 8), v128.load(x, 16))),
    i32x4.add(dot(v128.load8x8_u(w, 16), v128.load(x, 32)), dot(v128.load8x8_u(w, 24), v128.load(x, 48))),
  )
}

/** 32 nibbles times 32 activations of int16, by nibbles. */
// @ts-ignore: decorator
@inline
function dotNibbles(w: usize, mask: v128, x: usize): v128 {
  const packed = v128.load(w)
  return i32x4.add(
    i32x4.add(
      dot(v128.and(packed, mask), v128.load(x)),
      dot(v128.and(i16x8.shr_u(packed, 8), mask), v128.load(x, 16)),
    ),
    i32x4.add(
      dot(v128.and(i16x8.shr_u(packed, 4), mask), v128.load(x, 32)),
      dot(i16x8.shr_u(packed, 12), v128.load(x, 48)),
    ),
  )
}

/** 32 E2M1 codes times 32 activations of int16, by nibbles. */
// @ts-ignore: decorator
@inline
function dotE2M1(w: usize, table: v128, mask: v128, low: v128, x: usize): v128 {
  const packed = v128.load(w)
  const even = lookup16(table, v128.and(packed, mask))
  const odd = lookup16(table, v128.and(i16x8.shr_u(packed, 4), mask))
  return i32x4.add(
    i32x4.add(dot(v128.and(even, low), v128.load(x)), dot(i16x8.shr_u(even, 8), v128.load(x, 16))),
    i32x4.add(dot(v128.and(odd, low), v128.load(x, 32)), dot(i16x8.shr_u(odd, 8), v128.load(x, 48))),
  )
}

/** As `dotE2M1` with activations of int8: eight sums of int16, of four products each. */
// @ts-ignore: decorator
@inline
function dotE2M1Narrow(w: usize, table: v128, mask: v128, x: usize): v128 {
  const packed = v128.load(w)
  const even = lookup16(table, v128.and(packed, mask))
  const odd = lookup16(table, v128.and(i16x8.shr_u(packed, 4), mask))
  return i16x8.add(dotBytes(v128.load(x), even), dotBytes(v128.load(x, 16), odd))
}

/** 32 bytes times the two planes of as many activations, added to `high` and `low` separately; returns both together. */
// @ts-ignore: decorator
@inline
function dotPlanes(pair: bool, w: usize, x: usize): v128 {
  let bytes = v128.load(w)
  let high = addDotBytes(v128.load(x), bytes, i32x4.splat(0)), low = addDotBytes(v128.load(x, 16), bytes, i32x4.splat(0))
  bytes = v128.load(w, 16)
  high = addDotBytes(v128.load(x, 32), bytes, high), low = addDotBytes(v128.load(x, 48), bytes, low)
  if (pair) {
    bytes = v128.load(w, 32)
    high = addDotBytes(v128.load(x, 64), bytes, high), low = addDotBytes(v128.load(x, 80), bytes, low)
    bytes = v128.load(w, 48)
    high = addDotBytes(v128.load(x, 96), bytes, high), low = addDotBytes(v128.load(x, 112), bytes, low)
  }
  return together(high, low)
}

/** As `dotPlanes` for nibbles, looked up in a table if they are E2M1. */
// @ts-ignore: decorator
@inline
function dotNibblePlanes(e2m1: bool, pair: bool, w: usize, x: usize, table: v128, mask: v128): v128 {
  let packed = v128.load(w)
  let even = nibbles(e2m1, packed, table, mask), odd = nibbles(e2m1, i16x8.shr_u(packed, 4), table, mask)
  let high = addDotBytes(v128.load(x), even, i32x4.splat(0)), low = addDotBytes(v128.load(x, 16), even, i32x4.splat(0))
  high = addDotBytes(v128.load(x, 32), odd, high), low = addDotBytes(v128.load(x, 48), odd, low)
  if (pair) {
    packed = v128.load(w, 16)
    even = nibbles(e2m1, packed, table, mask), odd = nibbles(e2m1, i16x8.shr_u(packed, 4), table, mask)
    high = addDotBytes(v128.load(x, 64), even, high), low = addDotBytes(v128.load(x, 80), even, low)
    high = addDotBytes(v128.load(x, 96), odd, high), low = addDotBytes(v128.load(x, 112), odd, low)
  }
  return together(high, low)
}

// @ts-ignore: decorator
@inline
function nibbles(e2m1: bool, packed: v128, table: v128, mask: v128): v128 {
  const low = v128.and(packed, mask)
  return e2m1 ? lookup16(table, low) : low
}

/** How a row is packed: known when the kernels are compiled, so that each has a loop of its own. */
const EIGHT: u32 = 0
const FOUR: u32 = 1
const E2M1: u32 = 2
/** With activations of 8 bits. */
const E2M1_NARROW: u32 = 3

/** What the loop needs beside its operands. Read from memory: constants would be made anew at every use. */
// @ts-ignore: decorator
@lazy
const MASKS = memory.data<u8>([
  15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 0, 15, 0, 15, 0, 15, 0, 15, 0, 15, 0, 15, 0, 15, 0,
  255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0,
], 16)

/** The sums of a group's products, in lanes: see `quartet`. */
// @ts-ignore: decorator
@inline
function groupDot(kind: u32, pair: bool, w: usize, x: usize, table: v128, mask: v128, low: v128): v128 {
  if (kind == E2M1_NARROW) return dotE2M1Narrow(w, table, mask, x)
  if (FUSED) return kind == EIGHT ? dotPlanes(pair, w, x) : dotNibblePlanes(kind == E2M1, pair, w, x, table, mask)
  if (kind == E2M1) return dotE2M1(w, table, mask, low, x)
  if (kind == FOUR) {
    const first = dotNibbles(w, mask, x)
    return pair ? i32x4.add(first, dotNibbles(w + 16, mask, x + 64)) : first
  }
  const first = dotWideBytes(w, x)
  return pair ? i32x4.add(first, dotWideBytes(w + 32, x + 64)) : first
}

/** The sums of four groups. */
// @ts-ignore: decorator
@inline
function quartet(kind: u32, a: v128, b: v128, c: v128, d: v128, ones: v128, xSums: usize): v128 {
  const sums = kind == E2M1_NARROW ? sums16(a, b, c, d, ones) : sums32(a, b, c, d)
  return f32x4.convert_i32x4_s(kind >= E2M1 ? i32x4.add(sums, v128.load(xSums)) : sums)
}

/** Bytes that the sums of each group of a quartet take. */
const QUARTET: usize = 64

/** `pair`: activations have a scale per 64, not per 32. */
// @ts-ignore: decorator
@inline
function product(
  kind: u32, pair: bool, weight: Weight, w: usize, scales: usize, biases: usize, x: usize, xScales: usize, xSums: usize,
  room: usize
): f32 {
  const e2m1 = kind >= E2M1
  const table = v128.load(shiftedE2M1())
  const mask = v128.load(MASKS + (kind == FOUR && !FUSED ? 16 : 0))
  const low = v128.load(MASKS + 32)
  const ones = v128.load(MASKS + 48)
  const wStep: u32 = (kind == EIGHT ? 32 : 16) << u32(pair)
  const xStep: u32 = (kind == E2M1_NARROW ? 32 : 64) << u32(pair)
  const repeat = pair ? weight.group >> 6 : 1
  let total = f32x4.splat(0), zero = f32x4.splat(0)
  let g: u32 = 0
  if (FUSED || kind == E2M1_NARROW) {
    for (const whole = groups & ~3; g < whole; g += 4) {
      const a = groupDot(kind, pair, w, x, table, mask, low)
      const b = groupDot(kind, pair, w + wStep, x + xStep, table, mask, low)
      const c = groupDot(kind, pair, w + 2 * wStep, x + 2 * xStep, table, mask, low)
      const d = groupDot(kind, pair, w + 3 * wStep, x + 3 * xStep, table, mask, low)
      const s = e2m1 ? fromE8M0(loadBytes4(scales + g)) : repeated(loadFloats(scales, weight.floats, g / repeat), repeat)
      total = madd(quartet(kind, a, b, c, d, ones, xSums), f32x4.mul(s, v128.load(xScales)), total)
      if (!e2m1) zero = madd(repeated(loadFloats(biases, weight.biasesFloats, g / repeat), repeat), v128.load(xSums), zero)
      w += 4 * wStep
      x += 4 * xStep
      xScales += 16
      xSums += 16
    }
  }
  for (; g < groups; g += 4) {
    const there = min(4, groups - g)
    // A small loop: all loads of a longer stretch of code are done first by Node 20, which then runs out of registers.
    let to = room
    for (const end = room + (there << 4); to < end; to += 16) {
      v128.store(to, groupDot(kind, pair, w, x, table, mask, low))
      w += wStep
      x += xStep
    }
    for (const end = room + QUARTET; to < end; to += 16) v128.store(to, i32x4.splat(0))
    const sums = quartet(
      kind, v128.load(room), v128.load(room, 16), v128.load(room, 32), v128.load(room, 48), ones, xSums
    )
    const lanes = firstLanes(there)
    const s = e2m1 ? fromE8M0(loadBytes4(scales + g)) : repeated(loadFloats(scales, weight.floats, g / repeat), repeat)
    total = madd(sums, f32x4.mul(v128.and(s, lanes), v128.load(xScales)), total)
    if (!e2m1) {
      const z = repeated(loadFloats(biases, weight.biasesFloats, g / repeat), repeat)
      zero = madd(v128.and(z, lanes), v128.load(xSums), zero)
    }
    xScales += 16
    xSums += 16
  }
  return sum(e2m1 ? total : f32x4.add(total, zero))
}

/** Whether rows of these weights are multiplied as they are; others are unpacked first. */
export function isDirect(weight: Weight): bool {
  return weight.mode == MXFP4 || weight.bits == 8 || weight.bits == 4
}

// A function each: one with all loops in it would run out of registers.

function e2m1Narrow(
  weight: Weight, w: usize, scales: usize, biases: usize, x: usize, xScales: usize, xSums: usize, room: usize
): f32 {
  return product(E2M1_NARROW, false, weight, w, scales, biases, x, xScales, xSums, room)
}

function e2m1(
  weight: Weight, w: usize, scales: usize, biases: usize, x: usize, xScales: usize, xSums: usize, room: usize
): f32 {
  return product(E2M1, false, weight, w, scales, biases, x, xScales, xSums, room)
}

function bytes64(
  weight: Weight, w: usize, scales: usize, biases: usize, x: usize, xScales: usize, xSums: usize, room: usize
): f32 {
  return product(EIGHT, true, weight, w, scales, biases, x, xScales, xSums, room)
}

function bytes32(
  weight: Weight, w: usize, scales: usize, biases: usize, x: usize, xScales: usize, xSums: usize, room: usize
): f32 {
  return product(EIGHT, false, weight, w, scales, biases, x, xScales, xSums, room)
}

function nibbles64(
  weight: Weight, w: usize, scales: usize, biases: usize, x: usize, xScales: usize, xSums: usize, room: usize
): f32 {
  return product(FOUR, true, weight, w, scales, biases, x, xScales, xSums, room)
}

function nibbles32(
  weight: Weight, w: usize, scales: usize, biases: usize, x: usize, xScales: usize, xSums: usize, room: usize
): f32 {
  return product(FOUR, false, weight, w, scales, biases, x, xScales, xSums, room)
}

/** One row of weights times one row of activations: where the parts of each begin. @see isDirect */
export function packed1x1(
  weight: Weight, w: usize, scales: usize, biases: usize, x: usize, xScales: usize, xSums: usize, room: usize
): f32 {
  const isWide = weight.group >= 64
  if (weight.mode == MXFP4) {
    if (form == BYTES) return e2m1Narrow(weight, w, scales, biases, x, xScales, xSums, room)
    return e2m1(weight, w, scales, biases, x, xScales, xSums, room)
  }
  if (weight.bits == 8) {
    if (isWide) return bytes64(weight, w, scales, biases, x, xScales, xSums, room)
    return bytes32(weight, w, scales, biases, x, xScales, xSums, room)
  }
  if (isWide) return nibbles64(weight, w, scales, biases, x, xScales, xSums, room)
  return nibbles32(weight, w, scales, biases, x, xScales, xSums, room)
}
