/** `a * b + c`; one rounding where the build has relaxed SIMD and the processor has FMA, else two. */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c)
  else return f32x4.add(f32x4.mul(a, b), c)
}

/** Looks up 16 indices below 16; from 128 on they give zero. */
// @ts-ignore: decorator
@inline
export function lookup16(table: v128, indices: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i8x16.relaxed_swizzle(table, indices)
  else return i8x16.swizzle(table, indices)
}

/** Products of int16, of which neighbours are added. */
// @ts-ignore: decorator
@inline
export function dot(a: v128, b: v128): v128 {
  return i32x4.dot_i16x8_s(a, b)
}

/** Products of int8 with bytes below 128, of which neighbours are added. */
// @ts-ignore: decorator
@inline
export function dotBytes(signed: v128, bytes: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.relaxed_dot_i8x16_i7x16_s(signed, bytes)
  else return i16x8.narrow_i32x4_s(
    dot(i16x8.extend_low_i8x16_s(signed), i16x8.extend_low_i8x16_u(bytes)),
    dot(i16x8.extend_high_i8x16_s(signed), i16x8.extend_high_i8x16_u(bytes)),
  )
}

/**
 * Adds to four sums the products of four neighbouring bytes each: signed ones times unsigned ones of up to eight bits. Only in builds
 * with FUSED; in others of bytes below 128, and slowly.
 */
// @ts-ignore: decorator
@inline
export function addDotBytes(signed: v128, bytes: v128, sums: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.relaxed_dot_i8x16_i7x16_add_s(signed, bytes, sums)
  else return i32x4.add(i32x4.extadd_pairwise_i16x8_s(dotBytes(signed, bytes)), sums)
}

/** The sums of high and low bytes, times 256 and 1. */
// @ts-ignore: decorator
@inline
export function together(high: v128, low: v128): v128 {
  return i32x4.add(i32x4.shl(high, 8), low)
}

// @ts-ignore: decorator
@lazy
const EXTREMES = memory.data<u8>([
  128, 128, 128, 128, 127, 127, 127, 127, 128, 127, 128, 127, 255, 1, 254, 2,
  255, 255, 255, 255, 255, 255, 255, 255, 255, 254, 128, 127, 255, 129, 1, 200,
], 16)

/** Whether `addDotBytes` gives the sums of signed bytes times unsigned ones of eight bits here. */
export function dotsAreExact(): bool {
  const sums = addDotBytes(v128.load(EXTREMES), v128.load(EXTREMES, 16), i32x4(1, 2, 3, 4))
  return v128.bitmask<i32>(i32x4.eq(sums, i32x4(-130559, 129542, -634, 276))) == 15
}

/** The bytes at even places of a, then of b. */
// @ts-ignore: decorator
@inline
export function evens(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
}

/** The bytes at odd places. */
// @ts-ignore: decorator
@inline
export function odds(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
}

/** Of four vectors of four lanes. */
// @ts-ignore: decorator
@inline
export function storeTransposed(a: v128, b: v128, c: v128, d: v128, out: usize): void {
  const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5)
  const ef = v128.shuffle<i32>(a, b, 2, 6, 3, 7), gh = v128.shuffle<i32>(c, d, 2, 6, 3, 7)
  v128.store(out, v128.shuffle<i64>(ab, cd, 0, 2))
  v128.store(out, v128.shuffle<i64>(ab, cd, 1, 3), 16)
  v128.store(out, v128.shuffle<i64>(ef, gh, 0, 2), 32)
  v128.store(out, v128.shuffle<i64>(ef, gh, 1, 3), 48)
}

/** The sums of four vectors of int32, in order. */
// @ts-ignore: decorator
@inline
export function sums32(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7))
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7))
  return i32x4.add(v128.shuffle<i64>(ab, cd, 0, 2), v128.shuffle<i64>(ab, cd, 1, 3))
}

/** The sums of four vectors of int16 between -16384 and 16383, in order, as int32. `ones`: of int16. */
// @ts-ignore: decorator
@inline
export function sums16(a: v128, b: v128, c: v128, d: v128, ones: v128): v128 {
  const ab = i16x8.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7))
  const cd = i16x8.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7))
  const p = dot(ab, ones), q = dot(cd, ones)
  return i32x4.add(v128.shuffle<i64>(p, q, 0, 2), v128.shuffle<i64>(p, q, 1, 3))
}

/** `(v0 + v1) + (v2 + v3)`: the order of `sum4`, so that a row's result does not depend on the tile it was in. */
// @ts-ignore: decorator
@inline
export function sum(v: v128): f32 {
  return (
    f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
  )
}

/** The sums of four vectors, in order. */
// @ts-ignore: decorator
@inline
export function sum4(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab01 = f32x4.add(v128.shuffle<f32>(a, b, 0, 2, 4, 6), v128.shuffle<f32>(a, b, 1, 3, 5, 7))
  const cd01 = f32x4.add(v128.shuffle<f32>(c, d, 0, 2, 4, 6), v128.shuffle<f32>(c, d, 1, 3, 5, 7))
  return f32x4.add(v128.shuffle<f32>(ab01, cd01, 0, 2, 4, 6), v128.shuffle<f32>(ab01, cd01, 1, 3, 5, 7))
}

// @ts-ignore: decorator
@inline
export function max(v: v128): f32 {
  const half = f32x4.max(v, v128.shuffle<f32>(v, v, 2, 3, 0, 1))
  return f32x4.extract_lane(f32x4.max(half, v128.shuffle<f32>(half, half, 1, 0, 3, 2)), 0)
}

/** Lanes below `count` all ones, the others zero. */
// @ts-ignore: decorator
@inline
export function firstLanes(count: i32): v128 {
  return i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(count))
}

/** Four float16 in the low halves of the lanes to float32. */
// @ts-ignore: decorator
@inline
export function fromFloat16(bits: v128): v128 {
  const magnitude = i32x4.shl(v128.and(bits, i32x4.splat(0x7fff)), 13)
  const sign = i32x4.shl(v128.and(bits, i32x4.splat(0x8000)), 16)
  // The exponent fields differ by 112; the product is exact and also normalises subnormals.
  const finite = f32x4.mul(magnitude, f32x4.splat(reinterpret<f32>(0x77800000)))
  const special = v128.or(magnitude, i32x4.splat(0x7f800000))
  return v128.or(sign, v128.bitselect(special, finite, i32x4.ge_s(magnitude, i32x4.splat(0x0f800000))))
}

/** As `fromFloat16`, of bits extended by their sign, and not-a-number comes out infinite: half the instructions. */
// @ts-ignore: decorator
@inline
export function decodeFloat16(bits: v128): v128 {
  const shifted = v128.and(i32x4.shl(bits, 13), i32x4.splat(0x8fffe000))
  // 2^112, and then as much and back: that makes infinities of exponents that stood for them.
  const power = f32x4.splat(reinterpret<f32>(0x77800000))
  return f32x4.mul(f32x4.mul(f32x4.mul(shifted, power), power), f32x4.splat(reinterpret<f32>(0x07800000)))
}

/** Four float32 to float16 in the low halves of the lanes. Nearest, ties to even; beyond the largest: infinity. */
// @ts-ignore: decorator
@inline
export function toFloat16(value: v128): v128 {
  const magnitude = v128.and(value, i32x4.splat(0x7fffffff))
  const sign = v128.and(i32x4.shr_u(value, 16), i32x4.splat(0x8000))
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1))
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(magnitude, i32x4.splat(0xfff - 0x38000000)), odd), 13)
  // Below 2^-14: adding 0.5 lines the last bit up with 2^-24, and the processor rounds.
  const subnormal = i32x4.sub(f32x4.add(magnitude, f32x4.splat(0.5)), i32x4.splat(0x3f000000))
  let bits = v128.bitselect(subnormal, normal, i32x4.lt_s(magnitude, i32x4.splat(0x38800000)))
  bits = v128.bitselect(i32x4.splat(0x7c00), bits, i32x4.ge_s(magnitude, i32x4.splat(0x477ff000)))
  bits = v128.bitselect(i32x4.splat(0x7e00), bits, i32x4.gt_s(magnitude, i32x4.splat(0x7f800000)))
  return v128.or(sign, bits)
}

/** e^r for r within half of ln 2 around 0. */
// @ts-ignore: decorator
@inline
function exponential(r: v128): v128 {
  let p = madd(r, f32x4.splat(1.0 / 5040), f32x4.splat(1.0 / 720))
  p = madd(p, r, f32x4.splat(1.0 / 120))
  p = madd(p, r, f32x4.splat(1.0 / 24))
  p = madd(p, r, f32x4.splat(1.0 / 6))
  p = madd(p, r, f32x4.splat(0.5))
  return f32x4.add(madd(f32x4.mul(r, r), p, r), f32x4.splat(1))
}

/**
 * e^x. Reduction by ln 2 in two parts and a degree 6 polynomial (Cephes expf's range; coefficients 1/n!), within 2 units
 * in the last place; 0 below -87.3, infinity above 88.7, NaN for NaN.
 */
// @ts-ignore: decorator
@inline
export function exp(x: v128): v128 {
  const clamped = f32x4.min(f32x4.max(x, f32x4.splat(-88)), f32x4.splat(89))
  const n = f32x4.nearest(f32x4.mul(clamped, f32x4.splat(1.4426950408889634)))
  let r = f32x4.sub(clamped, f32x4.mul(n, f32x4.splat(0.693359375)))
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.12194440054690583e-4)))
  const p = exponential(r)
  // 2^n in two factors: n = 128 has no float of its own, and n = -127 is subnormal.
  const k = i32x4.trunc_sat_f32x4_s(n)
  const half = i32x4.shr_s(k, 1)
  const low = i32x4.shl(i32x4.add(half, i32x4.splat(127)), 23)
  const high = i32x4.shl(i32x4.add(i32x4.sub(k, half), i32x4.splat(127)), 23)
  const value = f32x4.mul(f32x4.mul(p, low), high)
  return v128.andnot(v128.or(value, f32x4.ne(x, x)), f32x4.lt(x, f32x4.splat(-87.33654)))
}

/** As `exp`, of what is not positive: half the instructions. */
// @ts-ignore: decorator
@inline
export function expNonPositive(x: v128): v128 {
  const clamped = f32x4.pmax(x, f32x4.splat(-88))
  // From 1.5 * 2^23 on floats are whole: the sum rounds, and its low bits are n.
  const shifted = f32x4.add(f32x4.mul(clamped, f32x4.splat(1.4426950408889634)), f32x4.splat(12582912))
  const n = f32x4.sub(shifted, f32x4.splat(12582912))
  let r = f32x4.sub(clamped, f32x4.mul(n, f32x4.splat(0.693359375)))
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.12194440054690583e-4)))
  const power = i32x4.add(i32x4.shl(shifted, 23), i32x4.splat(0x3f800000))
  return v128.andnot(f32x4.mul(exponential(r), power), f32x4.lt(x, f32x4.splat(-87.33654)))
}

/** 1 / (1 + e^-x). */
// @ts-ignore: decorator
@inline
export function sigmoid(x: v128): v128 {
  return f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exp(f32x4.neg(x))))
}
