import { FUSED } from "./fused"
import { evens, max, odds } from "./simd"
import { MXFP4, Weight } from "./weight"

/** What is added to twice an E2M1 value so that it is not negative. */
export const E2M1_OFFSET: i32 = 12

// Rows of activations as integers of 8 or 16 bits, one scale per group of 32 or 64 elements: x = scale * q within scale / 2.

/** How values are stored. Activations of 8 bits are bytes; those of 16 bits are int16, or two planes where sums are fused. */
export const BYTES: u32 = 0
export const INT16: u32 = 1
/** Sixteen high bytes, then the same elements' low bytes; both signed: q = 256 * high + low. */
export const PLANES: u32 = 2
export let form: u32 = BYTES

/** `[rows, K]` in this form; ordered within chunks of 32 as the weights unpack. */
export let values: usize = 0
/** Bytes from one row of values to the next. */
export let valuesRow: u32 = 0
/** float32 `[rows, stride / 4]`, zero beyond the last group. */
export let scales: usize = 0
/**
 * What the offset of weights adds, laid out as `scales`. Affine weights have zero points of their own: the sum of a group's values,
 * times the scale, which they are multiplied with. E2M1 has one for all: int32, added to the integer products of a group.
 */
export let sums: usize = 0
/** Activations that share a scale. */
export let group: u32 = 0
/** Groups in a row. */
export let groups: u32 = 0
/** Bytes from one row of scales to the next. */
export let stride: u32 = 0

/** Finds the parts of `rows` quantized rows that start at `at`; `product` in kernels.ts gives them the memory. */
export function locate(at: usize, rows: u32, weight: Weight): void {
  if (weight.activations == 8) form = BYTES
  else form = FUSED ? PLANES : INT16
  group = min(weight.group, 64)
  groups = weight.K / group
  stride = ((groups + 3) & ~3) * 4
  values = at
  valuesRow = form == BYTES ? weight.K : weight.K << 1
  scales = values + ((rows * valuesRow + 15) & ~15)
  sums = scales + rows * stride
}

/** Quantizes x [rows, K] as products with `weight` want it. Rows go to parts in turn. */
export function quantize(x: usize, rows: u32, weight: Weight, to: usize, part: u32, parts: u32): void {
  locate(to, rows, weight)
  for (let row = part; row < rows; row += parts) quantizeRow(x + (row * weight.K << 2), weight, row)
}

/** The largest integers: those of 16 bits are the largest whose high byte, rounded, is a signed byte, too. */
const LIMIT8: f32 = 127
const LIMIT16: f32 = 127 * 256 + 127

function quantizeRow(x: usize, weight: Weight, row: u32): void {
  const limit = weight.activations == 8 ? LIMIT8 : LIMIT16
  const isE2M1 = weight.mode == MXFP4
  // Products are with twice the E2M1 value, and its offset.
  const scaleFactor: f32 = isE2M1 ? 0.5 : 1
  const byNibbles = weight.bits == 4
  const bytes: usize = form == BYTES ? 32 : 64
  let to = values + row * valuesRow
  const toScales = scales + row * stride
  const toSums = sums + row * stride
  for (let g: u32 = 0; g < groups; g++) {
    const end = x + (group << 2)
    let largest = f32x4.splat(0)
    for (let at = x; at < end; at += 16) largest = f32x4.max(largest, f32x4.abs(v128.load(at)))
    const top = max(largest)
    const scale = top / limit
    // Beneath 1e-35 the reciprocal would overflow: such a group counts as zero. Not-a-numbers stay in the scale.
    const inverse = f32x4.splat(top < 1e-35 ? 0 : limit / top)
    let total = i32x4.splat(0)
    for (; x < end; x += 128, to += bytes) {
      const a = rounded8(x, inverse)
      const b = rounded8(x + 32, inverse)
      const c = rounded8(x + 64, inverse)
      const d = rounded8(x + 96, inverse)
      if (form == BYTES) storeBytes(to, a, b, c, d, byNibbles, 16)
      else if (form == PLANES) storePlanes(to, a, b, c, d, byNibbles)
      else if (byNibbles) storeByNibbles(to, a, b, c, d)
      else storeInOrder(to, a, b, c, d)
      total = i32x4.add(total, i32x4.add(i32x4.add(pairs(a), pairs(b)), i32x4.add(pairs(c), pairs(d))))
    }
    const count =
      i32x4.extract_lane(total, 0) + i32x4.extract_lane(total, 1) + i32x4.extract_lane(total, 2) + i32x4.extract_lane(total, 3)
    store<f32>(toScales + (g << 2), scale * scaleFactor)
    if (isE2M1) store<i32>(toSums + (g << 2), -E2M1_OFFSET * count)
    else store<f32>(toSums + (g << 2), scale * <f32>count)
  }
  for (let at: usize = groups << 2; at < stride; at += 4) {
    store<f32>(toScales + at, 0)
    store<f32>(toSums + at, 0)
  }
}

/** Low bytes of 32 elements, sixteen at a time, `apart` bytes from each other: as they are, or as nibbles unpack, the even elements first. */
// @ts-ignore: decorator
@inline
function storeBytes(to: usize, a: v128, b: v128, c: v128, d: v128, byNibbles: bool, apart: usize): void {
  const low = i8x16.narrow_i16x8_s(a, b)
  const high = i8x16.narrow_i16x8_s(c, d)
  v128.store(to, byNibbles ? evens(low, high) : low)
  v128.store(to + apart, byNibbles ? odds(low, high) : high)
}

// @ts-ignore: decorator
@inline
function storePlanes(to: usize, a: v128, b: v128, c: v128, d: v128, byNibbles: bool): void {
  storeBytes(to, highByte(a), highByte(b), highByte(c), highByte(d), byNibbles, 32)
  storeBytes(to + 16, lowByte(a), lowByte(b), lowByte(c), lowByte(d), byNibbles, 32)
}

// @ts-ignore: decorator
@inline
function lowByte(v: v128): v128 {
  return i16x8.shr_s(i16x8.shl(v, 8), 8)
}

/** What is left for the high byte once the low one is taken as signed. */
// @ts-ignore: decorator
@inline
function highByte(v: v128): v128 {
  return i16x8.shr_s(i16x8.sub(v, lowByte(v)), 8)
}

/** Every fourth element, from 0, 2, 1 and 3: nibbles come out as 16-bit lanes in that order without a shuffle. */
// @ts-ignore: decorator
@inline
function storeByNibbles(to: usize, a: v128, b: v128, c: v128, d: v128): void {
  const evenLow = v128.shuffle<i16>(a, b, 0, 4, 8, 12, 2, 6, 10, 14)
  const evenHigh = v128.shuffle<i16>(c, d, 0, 4, 8, 12, 2, 6, 10, 14)
  const oddLow = v128.shuffle<i16>(a, b, 1, 5, 9, 13, 3, 7, 11, 15)
  const oddHigh = v128.shuffle<i16>(c, d, 1, 5, 9, 13, 3, 7, 11, 15)
  storeInOrder(
    to, v128.shuffle<i64>(evenLow, evenHigh, 0, 2), v128.shuffle<i64>(evenLow, evenHigh, 1, 3),
    v128.shuffle<i64>(oddLow, oddHigh, 0, 2), v128.shuffle<i64>(oddLow, oddHigh, 1, 3),
  )
}

// @ts-ignore: decorator
@inline
function storeInOrder(to: usize, a: v128, b: v128, c: v128, d: v128): void {
  v128.store(to, a)
  v128.store(to, b, 16)
  v128.store(to, c, 32)
  v128.store(to, d, 48)
}

// @ts-ignore: decorator
@inline
function rounded8(at: usize, inverse: v128): v128 {
  return i16x8.narrow_i32x4_s(
    i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(at), inverse))),
    i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(at, 16), inverse))),
  )
}

/** Sums of neighbouring lanes. */
// @ts-ignore: decorator
@inline
function pairs(v: v128): v128 {
  return i32x4.extadd_pairwise_i16x8_s(v)
}
