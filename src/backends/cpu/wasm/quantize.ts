import { max } from "./simd"
import { MXFP4, Weight } from "./weight"

/** What is added to twice an E2M1 value so that it is not negative. */
export const E2M1_OFFSET: i32 = 12

// Rows of activations as integers of 8 or 16 bits, one scale per group of 32 or 64 elements: x = scale * q within scale / 2.

/** `[rows, K]` of int8, where `narrow`, or of int16; ordered within chunks of 32 as the weights unpack. */
export let values: usize = 0
/** Bytes from one row of values to the next. */
export let valuesRow: u32 = 0
/** float32 `[rows, stride / 4]`, zero beyond the last group. */
export let scales: usize = 0
/** What the zero point of weights is multiplied with: the sum of each group's values, times the scale; laid out as `scales`. */
export let sums: usize = 0
/** Activations that share a scale. */
export let group: u32 = 0
/** Groups in a row. */
export let groups: u32 = 0
/** Bytes from one row of scales to the next. */
export let stride: u32 = 0
/** Whether values are bytes: what has 8 bits where the build has relaxed SIMD, which multiplies bytes. */
export let narrow: bool = false

/** Finds the parts of `rows` quantized rows that start at `at`; `product` in kernels.ts gives them the memory. */
export function locate(at: usize, rows: u32, weight: Weight): void {
  narrow = weight.activations == 8 && ASC_FEATURE_RELAXED_SIMD != 0
  group = min(weight.group, 64)
  groups = weight.K / group
  stride = ((groups + 3) & ~3) * 4
  values = at
  valuesRow = narrow ? weight.K : weight.K << 1
  scales = values + ((rows * valuesRow + 15) & ~15)
  sums = scales + rows * stride
}

/** Quantizes x [rows, K] as products with `weight` want it. Rows go to parts in turn. */
export function quantize(x: usize, rows: u32, weight: Weight, to: usize, part: u32, parts: u32): void {
  locate(to, rows, weight)
  for (let row = part; row < rows; row += parts) quantizeRow(x + (row * weight.K << 2), weight, row)
}

function quantizeRow(x: usize, weight: Weight, row: u32): void {
  const limit: f32 = weight.activations == 8 ? 127 : 32767
  const isE2M1 = weight.mode == MXFP4
  // Products are with twice the E2M1 value, and its offset.
  const scaleFactor: f32 = isE2M1 ? 0.5 : 1
  const sumFactor: f32 = isE2M1 ? <f32>(-E2M1_OFFSET) * 0.5 : 1
  const byNibbles = weight.bits == 4
  const size = narrow ? 0 : 1
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
    for (; x < end; x += 128) {
      const a = rounded8(x, inverse)
      const b = rounded8(x + 32, inverse)
      const c = rounded8(x + 64, inverse)
      const d = rounded8(x + 96, inverse)
      if (narrow) storeBytes(to, a, b, c, d)
      else if (byNibbles) storeByNibbles(to, a, b, c, d)
      else storeInOrder(to, a, b, c, d)
      to += <usize>32 << size
      total = i32x4.add(total, i32x4.add(i32x4.add(pairs(a), pairs(b)), i32x4.add(pairs(c), pairs(d))))
    }
    const count =
      i32x4.extract_lane(total, 0) + i32x4.extract_lane(total, 1) + i32x4.extract_lane(total, 2) + i32x4.extract_lane(total, 3)
    store<f32>(toScales + (g << 2), scale * scaleFactor)
    store<f32>(toSums + (g << 2), scale * <f32>count * sumFactor)
  }
  for (let at: usize = groups << 2; at < stride; at += 4) {
    store<f32>(toScales + at, 0)
    store<f32>(toSums + at, 0)
  }
}

/** Bytes, as nibbles unpack to them: the even elements, then the odd ones. */
// @ts-ignore: decorator
@inline
function storeBytes(to: usize, a: v128, b: v128, c: v128, d: v128): void {
  const low = i8x16.narrow_i16x8_s(a, b)
  const high = i8x16.narrow_i16x8_s(c, d)
  v128.store(to, v128.shuffle<i8>(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30))
  v128.store(to, v128.shuffle<i8>(low, high, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), 16)
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
