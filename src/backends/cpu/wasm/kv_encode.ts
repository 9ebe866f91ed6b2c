import { EXPONENT4, EXPONENT8, scaleOf } from "./kv_codes"

// The encoder of tensor/kv_format.ts, in float64 and in its order: it comes to the same bits.

/** 1.5 * 2^52: added to a small integer, it leaves that in the lowest bits. */
const WHOLE: f64 = 6755399441055744

/** The code of a scale, not yet held to 0 ... 255. */
// @ts-ignore: decorator
@inline
function scaleCode(scale: f64, rounding: u32, exponent: u32): i32 {
  return <i32>((reinterpret<u32>(<f32>scale) + rounding) >> 20) - <i32>(8 * exponent)
}

/** Writes D elements, rotated already, as codes of 4 or 8 bits. `scratch`: 10 bytes an element. */
export function encodeCodes(x: usize, D: u32, bits: u32, to: usize, scratch: usize): void {
  const best = scratch
  const tried = scratch + D
  const rests = scratch + 2 * D
  const exponent = bits == 4 ? EXPONENT4 : EXPONENT8
  let squares: f64 = 0
  let largest: f64 = 0
  for (let i: u32 = 0; i < D; i++) {
    const value = <f64>load<f32>(x + (i << 2))
    squares += value * value
    largest = max<f64>(largest, abs<f64>(value))
  }
  memory.fill(best, 0, D)
  const typical = scaleCode(sqrt<f64>(squares / <f64>D) / 4000, 0x80000, EXPONENT4)
  const whole = scaleCode(largest / (bits == 4 ? 10125 : 127), 0xfffff, exponent)
  if (whole > 254) {
    // All parities odd: the scale is not a number.
    memory.fill(best, 1, 8)
  } else {
    let leastError = squares
    for (let k = bits == 4 ? -2 : 3; k <= 3; k++) {
      const code = min(k < 3 ? typical + k : whole, 254)
      // Scale 0, where codes are zeros: what `best` starts with.
      if (code <= 0) continue
      // Tried already.
      if (k == 3 && bits == 4 && code >= typical - 2 && code <= typical + 2) continue
      const error = quantize(x, D, bits, code, leastError, tried, rests)
      if (error >= leastError) continue
      leastError = error
      memory.copy(best, tried, D)
    }
  }
  if (bits == 8) memory.copy(to, best, D)
  else for (let i: u32 = 0; i < D; i += 2) store<u8>(to + (i >> 1), load<u8>(best + i) | (load<u8>(best + i, 1) << 4))
}

/**
 * Writes the nearest codes whose parities spell `scaleCode`, and returns their squared error: two columns of eight at a time. Gives up
 * as soon as that cannot be less than `most`.
 */
function quantize(x: usize, D: u32, bits: u32, scaleCode: u32, most: f64, codes: usize, rests: usize): f64 {
  const scale: f64 = scaleOf(scaleCode, bits == 4 ? EXPONENT4 : EXPONENT8)
  const lowest = f64x2.splat(bits == 4 ? 0 : -127)
  const highest = f64x2.splat(bits == 4 ? 15 : 127)
  const one = f64x2.splat(1)
  let error: f64 = 0
  for (let column: u32 = 0; column < 8; column += 2) {
    if (error * scale * scale >= most) break
    let parity = i64x2.splat(0)
    let cost = f64x2.splat(Infinity)
    let cheapest = i64x2.splat(0)
    let moved = i64x2.splat(0)
    for (let i = column; i < D; i += 8) {
      const value = f64x2.div(f64x2.promote_low_f32x4(v128.load64_zero(x + (i << 2))), f64x2.splat(scale))
      const code = bits == 4 ? nearest4(value) : f64x2.min(f64x2.max(f64x2.ceil(f64x2.sub(value, f64x2.splat(0.5))), lowest), highest)
      const whole = f64x2.add(code, f64x2.splat(WHOLE))
      v128.store_lane<i8>(codes + i, whole, 0)
      v128.store_lane<i8>(codes + i + 1, whole, 8)
      parity = v128.xor(parity, whole)
      const rest = f64x2.sub(value, bits == 4 ? level4(code) : code)
      const square = f64x2.mul(rest, rest)
      error += f64x2.extract_lane(square, 0)
      v128.store_lane<f64>(rests + i, square, 1)
      // The second nearest level, on the side where the value lies or, at the ends, inside.
      const step = v128.bitselect(one, f64x2.neg(one), f64x2.gt(rest, f64x2.splat(0)))
      const outward = f64x2.add(code, step)
      const beyond = v128.or(f64x2.gt(outward, highest), f64x2.lt(outward, lowest))
      const other = v128.bitselect(f64x2.sub(code, step), outward, beyond)
      const away = f64x2.sub(value, bits == 4 ? level4(other) : other)
      const more = f64x2.sub(f64x2.mul(away, away), square)
      const isLess = f64x2.lt(more, cost)
      cost = v128.bitselect(more, cost, isLess)
      cheapest = v128.bitselect(i64x2.splat(i), cheapest, isLess)
      moved = v128.bitselect(f64x2.add(other, f64x2.splat(WHOLE)), moved, isLess)
    }
    if (((<u32>i64x2.extract_lane(parity, 0) ^ (scaleCode >> column)) & 1) != 0) {
      v128.store_lane<i8>(codes + <usize>i64x2.extract_lane(cheapest, 0), moved, 0)
      error += f64x2.extract_lane(cost, 0)
    }
    for (let i = column; i < D; i += 8) error += load<f64>(rests + i)
    if (((<u32>i64x2.extract_lane(parity, 1) ^ (scaleCode >> (column + 1))) & 1) != 0) {
      v128.store_lane<i8>(codes + <usize>i64x2.extract_lane(cheapest, 1) + 1, moved, 8)
      error += f64x2.extract_lane(cost, 1)
    }
  }
  return error * scale * scale
}

// @ts-ignore: decorator
@inline
function level4(code: v128): v128 {
  const odd = f64x2.sub(f64x2.add(code, code), f64x2.splat(15))
  return f64x2.mul(odd, f64x2.add(f64x2.splat(450), f64x2.mul(odd, odd)))
}

/** The code of the nearest level; of two equally near, the lower. Middles lie around zero as levels do. */
// @ts-ignore: decorator
@inline
function nearest4(value: v128): v128 {
  const isPositive = f64x2.gt(value, f64x2.splat(0))
  // Of a negative value in the middle the outer level is the lower: the next larger magnitude lies beyond.
  const magnitude = i64x2.add(f64x2.abs(value), v128.andnot(i64x2.splat(1), isPositive))
  // Comparisons that hold count as -1.
  let beyond = f64x2.gt(magnitude, f64x2.splat(914))
  beyond = i64x2.add(beyond, f64x2.gt(magnitude, f64x2.splat(1876)))
  beyond = i64x2.add(beyond, f64x2.gt(magnitude, f64x2.splat(2934)))
  beyond = i64x2.add(beyond, f64x2.gt(magnitude, f64x2.splat(4136)))
  beyond = i64x2.add(beyond, f64x2.gt(magnitude, f64x2.splat(5530)))
  beyond = i64x2.add(beyond, f64x2.gt(magnitude, f64x2.splat(7164)))
  beyond = i64x2.add(beyond, f64x2.gt(magnitude, f64x2.splat(9086)))
  const code = v128.bitselect(i64x2.sub(i64x2.splat(8), beyond), i64x2.add(i64x2.splat(7), beyond), isPositive)
  return f64x2.sub(i64x2.add(code, f64x2.splat(WHOLE)), f64x2.splat(WHOLE))
}
