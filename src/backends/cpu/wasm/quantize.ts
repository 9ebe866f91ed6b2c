import { max } from "./simd"

/** Rows of activations as int16, one scale per `group` elements: x = scale * q within scale / 2. */
@unmanaged
export class QuantizedRows {
  /** int16 `[rows, K]`; within 32 elements the even ones come first if the weights are packed in nibbles. */
  values: usize
  /** float32 `[rows, stride / 4]`, zero beyond the last group. */
  scales: usize
  /** The sum of each group's quantized values, times the scale; laid out as `scales`. */
  sums: usize
  /** Bytes from one row of scales to the next. */
  stride: u32
}

const LIMIT: f32 = 32767

/** `scaleFactor` is folded into the scales (not into the sums). */
export function quantizeRow(
  x: usize, K: u32, group: u32, evenFirst: bool, scaleFactor: f32, to: QuantizedRows, row: u32
): void {
  const values = to.values + ((row * K) << 1)
  const scales = to.scales + row * to.stride
  const sums = to.sums + row * to.stride
  for (let g: u32 = 0; g < K / group; g++) {
    const from = x + ((g * group) << 2)
    const into = values + ((g * group) << 1)
    let largest = f32x4.splat(0)
    for (let k: u32 = 0; k < group << 2; k += 16) largest = f32x4.max(largest, f32x4.abs(v128.load(from + k)))
    const top = max(largest)
    const scale = top / LIMIT
    // Beneath 1e-35 the reciprocal would overflow: such a group counts as zero. Not-a-numbers stay in the scale.
    const inverse = f32x4.splat(top < 1e-35 ? 0 : LIMIT / top)
    let total = i32x4.splat(0)
    for (let k: u32 = 0; k < group; k += 16) {
      const at = from + (k << 2)
      const a = rounded(at, inverse)
      const b = rounded(at + 16, inverse)
      const c = rounded(at + 32, inverse)
      const d = rounded(at + 48, inverse)
      total = i32x4.add(total, i32x4.add(i32x4.add(a, b), i32x4.add(c, d)))
      if (evenFirst) {
        const half = into + ((k & ~31) << 1) + (k & 16)
        v128.store(half, i16x8.narrow_i32x4_s(v128.shuffle<i32>(a, b, 0, 2, 4, 6), v128.shuffle<i32>(c, d, 0, 2, 4, 6)))
        v128.store(half, i16x8.narrow_i32x4_s(v128.shuffle<i32>(a, b, 1, 3, 5, 7), v128.shuffle<i32>(c, d, 1, 3, 5, 7)), 32)
      } else {
        v128.store(into + (k << 1), i16x8.narrow_i32x4_s(a, b))
        v128.store(into + (k << 1), i16x8.narrow_i32x4_s(c, d), 16)
      }
    }
    const count =
      i32x4.extract_lane(total, 0) + i32x4.extract_lane(total, 1) + i32x4.extract_lane(total, 2) + i32x4.extract_lane(total, 3)
    store<f32>(scales + (g << 2), scale * scaleFactor)
    store<f32>(sums + (g << 2), scale * <f32>count)
  }
  for (let at: usize = (K / group) << 2; at < to.stride; at += 4) {
    store<f32>(scales + at, 0)
    store<f32>(sums + at, 0)
  }
}

// @ts-ignore: decorator
@inline
function rounded(at: usize, inverse: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(at), inverse)))
}
