import { exp, madd, max, sum } from "./simd"
import { loadFloat, loadFloats } from "./weight"

/** Codes shared with kernels.ts: the order of ReduceFn there. */
const SUM: u32 = 0
const MEAN: u32 = 1

// Rows go to parts in turn: row r to part r % parts.

/** x / sqrt(mean(x^2) + eps) * weight. */
export function rms_norm(
  x: usize, rows: u32, n: u32, weight: usize, weightType: u32, eps: f32, out: usize, part: u32, parts: u32
): void {
  const whole = n & ~3
  const size = weightType == 0 ? 2 : 1
  for (let row = part; row < rows; row += parts) {
    const from = x + (row * n << 2)
    const to = out + (row * n << 2)
    let squares = f32x4.splat(0)
    for (let i: u32 = 0; i < whole; i += 4) {
      const v = v128.load(from + (i << 2))
      squares = madd(v, v, squares)
    }
    let total = sum(squares)
    for (let i = whole; i < n; i++) total += load<f32>(from + (i << 2)) * load<f32>(from + (i << 2))
    const inverse: f32 = 1 / sqrt<f32>(total / <f32>n + eps)
    for (let i: u32 = 0; i < whole; i += 4) {
      const v = f32x4.mul(v128.load(from + (i << 2)), f32x4.splat(inverse))
      v128.store(to + (i << 2), f32x4.mul(v, loadFloats(weight, weightType, i)))
    }
    for (let i = whole; i < n; i++) {
      store<f32>(to + (i << 2), load<f32>(from + (i << 2)) * inverse * loadFloat(weight + (i << size), weightType))
    }
  }
}

/** NaN if any is. */
export function rowMax(x: usize, n: u32): f32 {
  const whole = n & ~3
  let largest = f32x4.splat(-Infinity)
  for (let i: u32 = 0; i < whole; i += 4) largest = f32x4.max(largest, v128.load(x + (i << 2)))
  let top = max(largest)
  for (let i = whole; i < n; i++) top = max_f32(top, load<f32>(x + (i << 2)))
  return top
}

// @ts-ignore: decorator
@inline
function max_f32(a: f32, b: f32): f32 {
  return f32x4.extract_lane(f32x4.max(f32x4.splat(a), f32x4.splat(b)), 0)
}

// @ts-ignore: decorator
@inline
function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp(f32x4.splat(x)), 0)
}

export function softmax(x: usize, rows: u32, n: u32, out: usize, part: u32, parts: u32): void {
  const whole = n & ~3
  for (let row = part; row < rows; row += parts) {
    const from = x + (row * n << 2)
    const to = out + (row * n << 2)
    const top = rowMax(from, n)
    let totals = f32x4.splat(0)
    for (let i: u32 = 0; i < whole; i += 4) {
      const e = exp(f32x4.sub(v128.load(from + (i << 2)), f32x4.splat(top)))
      v128.store(to + (i << 2), e)
      totals = f32x4.add(totals, e)
    }
    let total = sum(totals)
    for (let i = whole; i < n; i++) {
      const e = exp1(load<f32>(from + (i << 2)) - top)
      store<f32>(to + (i << 2), e)
      total += e
    }
    for (let i: u32 = 0; i < whole; i += 4) {
      v128.store(to + (i << 2), f32x4.div(v128.load(to + (i << 2)), f32x4.splat(total)))
    }
    for (let i = whole; i < n; i++) store<f32>(to + (i << 2), load<f32>(to + (i << 2)) / total)
  }
}

export function reduce(x: usize, rows: u32, n: u32, fn: u32, out: usize, part: u32, parts: u32): void {
  const whole = n & ~3
  for (let row = part; row < rows; row += parts) {
    const from = x + (row * n << 2)
    let value: f32
    if (fn == SUM || fn == MEAN) {
      let totals = f32x4.splat(0)
      for (let i: u32 = 0; i < whole; i += 4) totals = f32x4.add(totals, v128.load(from + (i << 2)))
      value = sum(totals)
      for (let i = whole; i < n; i++) value += load<f32>(from + (i << 2))
      if (fn == MEAN) value /= <f32>n
    } else value = rowMax(from, n)
    store<f32>(out + (row << 2), value)
  }
}

/** What stands for no index: NO_INDEX of ir/specs/rows.ts. */
export const NONE: u32 = 0xffffffff

/** The index of the largest, the lowest of equals; NONE with NaN, Infinity, or -Infinity alone. */
export function argmax(x: usize, rows: u32, n: u32, out: usize, part: u32, parts: u32): void {
  for (let row = part; row < rows; row += parts) {
    const from = x + (row * n << 2)
    const top = rowMax(from, n)
    let best: u32 = 0
    if (isFinite<f32>(top)) while (load<f32>(from + (best << 2)) != top) best++
    else best = NONE
    store<u32>(out + (row << 2), best)
  }
}

/** The indices of the k largest, descending, ties to the lower index. */
export function top_k(x: usize, rows: u32, n: u32, k: u32, out: usize, part: u32, parts: u32): void {
  for (let row = part; row < rows; row += parts) {
    const from = x + (row * n << 2)
    const to = out + (row * k << 2)
    for (let pick: u32 = 0; pick < k; pick++) {
      let best: u32 = n
      let bestValue: f32 = 0
      for (let i: u32 = 0; i < n; i++) {
        const value = load<f32>(from + (i << 2))
        if ((best == n || value > bestValue) && !taken(to, pick, i)) {
          best = i
          bestValue = value
        }
      }
      store<u32>(to + (pick << 2), best)
    }
  }
}

// @ts-ignore: decorator
@inline
function taken(picks: usize, count: u32, index: u32): bool {
  for (let i: u32 = 0; i < count; i++) if (load<u32>(picks + (i << 2)) == index) return true
  return false
}

/** out[row, j] = x[row, indices[row, j]] for elements of 4 bytes. An index beyond n traps. */
export function take_along_axis(
  x: usize, rows: u32, n: u32, indices: usize, k: u32, out: usize, part: u32, parts: u32
): void {
  for (let row = part; row < rows; row += parts) {
    for (let j: u32 = 0; j < k; j++) {
      const at = (row * k + j) << 2
      const index = load<u32>(indices + at)
      if (index >= n) unreachable()
      store<u32>(out + at, load<u32>(x + ((row * n + index) << 2)))
    }
  }
}

/** Rows of `rowBytes` at `count` indices; where an index is NONE, those of `otherwise`, which is 0 if there are none. */
export function take(
  x: usize, rows: u32, rowBytes: u32, indices: usize, count: u32, otherwise: usize, out: usize, part: u32, parts: u32
): void {
  for (let i = part; i < count; i += parts) {
    const index = load<u32>(indices + (i << 2))
    const isTaken = index != NONE || otherwise == 0
    if (isTaken && index >= rows) unreachable()
    memory.copy(out + i * rowBytes, isTaken ? x + index * rowBytes : otherwise + i * rowBytes, rowBytes)
  }
}

/** Writes `count` rows of `rowBytes` to their indices in the state; none where an index is NONE. */
export function put(
  state: usize, rows: u32, rowBytes: u32, x: usize, indices: usize, count: u32, part: u32, parts: u32
): void {
  for (let i = part; i < count; i += parts) {
    const index = load<u32>(indices + (i << 2))
    if (index == NONE) continue
    if (index >= rows) unreachable()
    memory.copy(state + index * rowBytes, x + i * rowBytes, rowBytes)
  }
}

/** out[L, N] = sum over k of weights[L, k] x[L, k, N]. Columns are split among the parts. */
export function weighted_sum(
  x: usize, rows: u32, k: u32, n: u32, weights: usize, out: usize, part: u32, parts: u32
): void {
  const from = <u32>(<u64>n * part / parts)
  const to = <u32>(<u64>n * (part + 1) / parts)
  for (let row: u32 = 0; row < rows; row++) {
    for (let i = from; i < to; i++) {
      let total: f32 = 0
      for (let j: u32 = 0; j < k; j++) {
        const slot = row * k + j
        total += load<f32>(weights + (slot << 2)) * load<f32>(x + ((slot * n + i) << 2))
      }
      store<f32>(out + ((row * n + i) << 2), total)
    }
  }
}
