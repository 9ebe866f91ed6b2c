import { max } from "./simd"
import { MXFP4, Weight } from "./weight"

/** How the 32 activations of a chunk are ordered, which depends on how the weights unpack. */
export const IN_ORDER: u32 = 0
/** Every fourth element, from 0, 2, 1 and 3: nibbles come out as 16-bit lanes in that order without a shuffle. */
export const BY_NIBBLES: u32 = 1

/** What is added to twice an E2M1 value so that it is not negative. */
export const E2M1_OFFSET: i32 = 12

// Rows of activations as int16, one scale per group of 32 or 64 elements: x = scale * q within scale / 2.

/** int16 `[rows, K]`, ordered within chunks of 32. */
export let values: usize = 0
/** float32 `[rows, stride / 4]`, zero beyond the last group. */
export let scales: usize = 0
/** The sum of each group's quantized values, times the scale; laid out as `scales`. */
export let sums: usize = 0
/** For nibbles: int32 `[rows, K / 32, 4]`, by lane of a dot product, what E2M1_OFFSET adds, negated. */
export let offsets: usize = 0
/** Activations that share a scale. */
export let group: u32 = 0
/** Groups in a row. */
export let groups: u32 = 0
/** Bytes from one row of scales to the next. */
export let stride: u32 = 0

/** Finds the parts of `rows` quantized rows that start at `at`; `product` in kernels.ts gives them the memory. */
export function locate(at: usize, rows: u32, weight: Weight): void {
  const K = weight.K
  group = min(weight.group, 64)
  groups = K / group
  stride = ((groups + 3) & ~3) * 4 + 16
  values = at
  offsets = values + (rows * K << 1)
  scales = offsets + (rows * K >> 1)
  sums = scales + rows * stride
}

/** Quantizes x [rows, K] as products with `weight` want it. Rows go to parts in turn. */
export function quantize(x: usize, rows: u32, weight: Weight, to: usize, part: u32, parts: u32): void {
  locate(to, rows, weight)
  const order = weight.bits == 4 ? BY_NIBBLES : IN_ORDER
  const scaleFactor: f32 = weight.mode == MXFP4 ? 0.5 : 1
  for (let row = part; row < rows; row += parts) {
    quantizeRow(x + (row * weight.K << 2), weight.K, order, scaleFactor, row)
  }
}

const LIMIT: f32 = 32767

/** `scaleFactor` is folded into the scales (not into the sums). */
function quantizeRow(x: usize, K: u32, order: u32, scaleFactor: f32, row: u32): void {
  const toValues = values + ((row * K) << 1)
  const toOffsets = offsets + (row * K >> 1)
  const toScales = scales + row * stride
  const toSums = sums + row * stride
  for (let g: u32 = 0; g < groups; g++) {
    const first = g * group
    let largest = f32x4.splat(0)
    for (let k = first; k < first + group; k += 4) largest = f32x4.max(largest, f32x4.abs(v128.load(x + (k << 2))))
    const top = max(largest)
    const scale = top / LIMIT
    // Beneath 1e-35 the reciprocal would overflow: such a group counts as zero. Not-a-numbers stay in the scale.
    const inverse = f32x4.splat(top < 1e-35 ? 0 : LIMIT / top)
    let total = i32x4.splat(0)
    for (let k = first; k < first + group; k += 32) {
      const from = x + (k << 2)
      const into = toValues + (k << 1)
      let a = rounded8(from, inverse)
      let b = rounded8(from + 32, inverse)
      let c = rounded8(from + 64, inverse)
      let d = rounded8(from + 96, inverse)
      if (order == BY_NIBBLES) {
        const evenLow = v128.shuffle<i16>(a, b, 0, 4, 8, 12, 2, 6, 10, 14)
        const evenHigh = v128.shuffle<i16>(c, d, 0, 4, 8, 12, 2, 6, 10, 14)
        const oddLow = v128.shuffle<i16>(a, b, 1, 5, 9, 13, 3, 7, 11, 15)
        const oddHigh = v128.shuffle<i16>(c, d, 1, 5, 9, 13, 3, 7, 11, 15)
        a = v128.shuffle<i64>(evenLow, evenHigh, 0, 2)
        b = v128.shuffle<i64>(evenLow, evenHigh, 1, 3)
        c = v128.shuffle<i64>(oddLow, oddHigh, 0, 2)
        d = v128.shuffle<i64>(oddLow, oddHigh, 1, 3)
      }
      v128.store(into, a)
      v128.store(into, b, 16)
      v128.store(into, c, 32)
      v128.store(into, d, 48)
      const lanes = i32x4.add(i32x4.add(pairs(a), pairs(b)), i32x4.add(pairs(c), pairs(d)))
      if (order == BY_NIBBLES) v128.store(toOffsets + (k >> 1), i32x4.mul(lanes, i32x4.splat(-E2M1_OFFSET)))
      total = i32x4.add(total, lanes)
    }
    const count =
      i32x4.extract_lane(total, 0) + i32x4.extract_lane(total, 1) + i32x4.extract_lane(total, 2) + i32x4.extract_lane(total, 3)
    store<f32>(toScales + (g << 2), scale * scaleFactor)
    store<f32>(toSums + (g << 2), scale * <f32>count)
  }
  for (let at: usize = groups << 2; at < stride; at += 4) {
    store<f32>(toScales + at, 0)
    store<f32>(toSums + at, 0)
  }
}

// @ts-ignore: decorator
@inline
function rounded8(at: usize, inverse: v128): v128 {
  return i16x8.narrow_i32x4_s(
    i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(at), inverse))),
    i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(at, 16), inverse))),
  )
}

/** Sums of neighbouring lanes, which a dot product puts in one lane too. */
// @ts-ignore: decorator
@inline
function pairs(v: v128): v128 {
  return i32x4.extadd_pairwise_i16x8_s(v)
}
