import { NONE, rowMax } from "./rows"
import { exp } from "./simd"

/** Keys are told apart by 11, 11 and 10 bits in turn. */
const BITS: u32 = 11
const BINS: usize = 1 << BITS

/**
 * A token of each row, as the description of `sample` has it. A row is one thread's, and its sums are made in one order,
 * so its token depends on nothing beside it. `mask` 0: all are allowed.
 * `scratch`: 8 * BINS + 12 * n bytes a thread, n rounded up to 4.
 */
export function sample(
  logits: usize, rows: u32, n: u32, temperature: usize, top_k: usize, top_p: usize, min_p: usize, uniform: usize,
  mask: usize, out: usize, scratch: usize, part: u32, parts: u32
): void {
  const words = (n + 31) >> 5
  const allowed = scratch + (BINS << 3) + (((n + 3) & ~3) << 3)
  for (let row = part; row < rows; row += parts) {
    const at = row << 2
    let values = logits + (row * n << 2)
    let top = rowMax(values, n)
    let token = NONE
    if (top < Infinity) {
      if (mask != 0) {
        copyAllowed(values, n, mask + (row * words << 2), allowed)
        values = allowed
        top = rowMax(values, n)
      }
      if (top > -Infinity) {
        const t = load<f32>(temperature + at)
        if (t > 0) {
          const k = load<u32>(top_k + at)
          token = draw(values, n, top, t, k, load<f32>(top_p + at), load<f32>(min_p + at), load<f32>(uniform + at), scratch)
        } else token = indexOf(values, top)
      }
    }
    store<u32>(out + at, token)
  }
}

function indexOf(values: usize, value: f32): u32 {
  let i: u32 = 0
  while (load<f32>(values + (i << 2)) != value) i++
  return i
}

/** The values whose bits are set; -Infinity for the others. */
function copyAllowed(values: usize, n: u32, mask: usize, out: usize): void {
  const whole = n & ~3
  const never = f32x4.splat(-Infinity)
  const bits = i32x4(1, 2, 4, 8)
  for (let i: u32 = 0; i < whole; i += 4) {
    const word = i32x4.splat(load<u32>(mask + (i >> 5 << 2)) >> (i & 31))
    const isSet = i32x4.eq(v128.and(word, bits), bits)
    v128.store(out + (i << 2), v128.bitselect(v128.load(values + (i << 2)), never, isSet))
  }
  for (let i = whole; i < n; i++) {
    const isSet = (load<u32>(mask + (i >> 5 << 2)) >> (i & 31)) & 1
    store<f32>(out + (i << 2), isSet ? load<f32>(values + (i << 2)) : -Infinity)
  }
}

/** By temperature, top_k, top_p and min_p; `top` is the largest of the values, which is finite. */
function draw(
  values: usize, n: u32, top: f32, temperature: f32, top_k: u32, top_p: f32, min_p: f32, uniform: f32, scratch: usize
): u32 {
  const weights = scratch + (BINS << 3)
  const list = weights + (((n + 3) & ~3) << 2)
  let total = weigh(values, n, top, temperature, weights)
  // Ids that are kept, ascending, once some are not.
  let count = n
  let isListed = false
  if (top_k > 0 && top_k < n) {
    count = keepFirst(values, 0, n, <f64>top_k, f32.MIN_VALUE, scratch, weights, list, false)
    isListed = true
    total = sumOf(weights, list, count)
  }
  if (top_p < 1) {
    // Tokens under an equal share of the tail cannot fill it together, so none of them is in the nucleus.
    const least = max<f32>(<f32>((1 - <f64>top_p) * total / n), f32.MIN_VALUE)
    count = keepFirst(values, weights, count, <f64>top_p * total, least, scratch, weights, list, isListed)
    isListed = true
  }
  if (min_p > 0) {
    count = isListed ? keepFrom(weights, list, count, min_p) : gather(weights, n, min_p, list)
    isListed = true
  }
  if (isListed) total = sumOf(weights, list, count)
  const target = total * <f64>uniform
  let reached: f64 = 0
  let token: u32 = 0
  for (let i: u32 = 0; i < count; i++) {
    const id = isListed ? load<u32>(list + (i << 2)) : i
    const weight = load<f32>(weights + (id << 2))
    if (weight == 0) continue
    token = id
    reached += <f64>weight
    if (reached > target) break
  }
  return token
}

/** Writes exp((value - top) / temperature); returns the sum. */
function weigh(values: usize, n: u32, top: f32, temperature: f32, weights: usize): f64 {
  // Finite, for 0 * Infinity would be NaN.
  const inverse = f32x4.splat(min<f32>(1 / temperature, f32.MAX_VALUE))
  const tops = f32x4.splat(top)
  const whole = n & ~3
  let low = f64x2.splat(0)
  let high = f64x2.splat(0)
  for (let i: u32 = 0; i < whole; i += 4) {
    const e = exp(f32x4.mul(f32x4.sub(v128.load(values + (i << 2)), tops), inverse))
    v128.store(weights + (i << 2), e)
    low = f64x2.add(low, f64x2.promote_low_f32x4(e))
    high = f64x2.add(high, f64x2.promote_low_f32x4(v128.shuffle<f32>(e, e, 2, 3, 2, 3)))
  }
  const sums = f64x2.add(low, high)
  let total = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1)
  for (let i = whole; i < n; i++) {
    const value = v128.load32_splat(values + (i << 2))
    const e = f32x4.extract_lane(exp(f32x4.mul(f32x4.sub(value, tops), inverse)), 0)
    store<f32>(weights + (i << 2), e)
    total += <f64>e
  }
  return total
}

/** A number that is larger for a larger float. */
// @ts-ignore: decorator
@inline
function keyOf(value: f32): u32 {
  // Adding zero makes -0 the same as 0.
  const bits = reinterpret<u32>(value + 0)
  return bits >> 31 ? ~bits : bits | 0x80000000
}

// @ts-ignore: decorator
@inline
function valueOf(key: u32): f32 {
  return reinterpret<f32>(key >> 31 ? key & 0x7fffffff : ~key)
}

/**
 * Keeps the shortest prefix, larger values first and lower ids first among equals, whose masses reach the target; all if
 * they do not. Radix select: a histogram of masses by the next bits of their keys tells in which bin the target is reached.
 *
 * @param masses 0: each counts 1
 * @param least tokens of less weight are in no such prefix
 * @param isListed whether the tokens are those of `list`, or all from 0 to count - 1
 * @returns how many are kept; they are in `list` then, ids ascending
 */
function keepFirst(
  values: usize, masses: usize, count: u32, target: f64, least: f32, scratch: usize, weights: usize, list: usize,
  isListed: bool
): u32 {
  const sums = scratch
  let reached: f64 = 0
  let lowest: u32 = 0
  let decided: u32 = 32
  while (decided > 0) {
    const bits = min(BITS, decided)
    const shift = decided - bits
    memory.fill(sums, 0, BINS << 3)
    for (let i: u32 = 0; i < count; i++) {
      const id = isListed ? load<u32>(list + (i << 2)) : i
      const weight = load<f32>(weights + (id << 2))
      if (weight < least) continue
      const key = keyOf(load<f32>(values + (id << 2)))
      if ((<u64>key >> decided) != (<u64>lowest >> decided)) continue
      const bin = sums + (<usize>((key >> shift) & ((1 << bits) - 1)) << 3)
      store<f64>(bin, load<f64>(bin) + (masses == 0 ? 1 : <f64>weight))
    }
    let above = reached
    let chosen: u32 = 0
    for (let bin: i32 = (1 << bits) - 1; bin >= 0; bin--) {
      const mass = load<f64>(sums + (<usize>bin << 3))
      if (mass == 0) continue
      // The last one with something in it, should rounding leave the target unreached.
      chosen = bin
      reached = above
      above += mass
      if (above >= target) break
    }
    lowest |= chosen << shift
    count = isListed ? keepFrom(values, list, count, valueOf(lowest)) : gather(values, count, valueOf(lowest), list)
    isListed = true
    decided = shift
  }
  return keepEquals(values, masses, list, count, valueOf(lowest), reached, target)
}

/** Of the tokens whose value is the last that is kept, keeps as many as it takes. Those above reach `reached` together. */
function keepEquals(
  values: usize, masses: usize, list: usize, count: u32, last: f32, reached: f64, target: f64
): u32 {
  let kept: u32 = 0
  for (let i: u32 = 0; i < count; i++) {
    const id = load<u32>(list + (i << 2))
    if (load<f32>(values + (id << 2)) == last) {
      if (reached >= target && kept > 0) continue
      reached += masses == 0 ? 1 : <f64>load<f32>(masses + (id << 2))
    }
    store<u32>(list + (kept++ << 2), id)
  }
  return kept
}

/** Lists the ids of what is at least `bound`, ascending; returns how many. */
function gather(values: usize, n: u32, bound: f32, list: usize): u32 {
  const whole = n & ~3
  const bounds = f32x4.splat(bound)
  let count: u32 = 0
  let i: u32 = 0
  while (i < n) {
    if (i < whole && !v128.any_true(f32x4.ge(v128.load(values + (i << 2)), bounds))) {
      i += 4
      continue
    }
    const end = min(n, i + 4)
    for (; i < end; i++) if (load<f32>(values + (i << 2)) >= bound) store<u32>(list + (count++ << 2), i)
  }
  return count
}

/** Keeps the listed ids of what is at least `bound`; returns how many. */
function keepFrom(values: usize, list: usize, count: u32, bound: f32): u32 {
  let kept: u32 = 0
  for (let i: u32 = 0; i < count; i++) {
    const id = load<u32>(list + (i << 2))
    if (load<f32>(values + (id << 2)) >= bound) store<u32>(list + (kept++ << 2), id)
  }
  return kept
}

function sumOf(weights: usize, list: usize, count: u32): f64 {
  let total: f64 = 0
  for (let i: u32 = 0; i < count; i++) total += <f64>load<f32>(weights + (load<u32>(list + (i << 2)) << 2))
  return total
}

/**
 * Logits changed at some places: see the description of `adjust_logits`. A row and its entries are one thread's. A place
 * that is not there traps.
 */
export function adjust_logits(
  logits: usize, rows: u32, n: u32, places: usize, ids: usize, count: u32, bias: usize, factor: usize, shift: usize,
  out: usize, part: u32, parts: u32
): void {
  for (let row = part; row < rows; row += parts) memory.copy(out + (row * n << 2), logits + (row * n << 2), n << 2)
  for (let i: u32 = 0; i < count; i++) {
    const at = i << 2
    const row = load<u32>(places + at)
    if (row == NONE) continue
    const id = load<u32>(ids + at)
    if (row >= rows || id >= n) unreachable()
    if (row % parts != part) continue
    const place = out + (row * n + id << 2)
    const biased = load<f32>(place) + load<f32>(bias + at)
    const scale = load<f32>(factor + at)
    store<f32>(place, (biased > 0 ? biased / scale : biased * scale) + load<f32>(shift + at))
  }
}
