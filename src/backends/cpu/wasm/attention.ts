import { exp, madd, max, sum } from "./simd"
import { loadFloat } from "./weight"

/** Cached positions whose scores are held at a time. */
const BLOCK: u32 = 32

/**
 * Rotates the halves of each head by position * inv_freq; cos and sin are multiplied by `scale`. The angle is taken in
 * float64: at position 100,000 a float32 product is off by 0.004 rad. `scratch`: 4 * D bytes a thread.
 */
export function rope(
  x: usize, rows: u32, heads: u32, D: u32, positions: usize, inv_freq: usize, scale: f32, out: usize, scratch: usize,
  part: u32, parts: u32
): void {
  const half = D >> 1
  const cosines = scratch
  const sines = scratch + (half << 2)
  const units = rows * heads
  const to = <u32>(<u64>units * (part + 1) / parts)
  let known: u32 = rows
  for (let unit = <u32>(<u64>units * part / parts); unit < to; unit++) {
    const row = unit / heads
    if (row != known) {
      const position = <f64>load<u32>(positions + (row << 2))
      for (let i: u32 = 0; i < half; i++) {
        const angle = position * <f64>load<f32>(inv_freq + (i << 2))
        store<f32>(cosines + (i << 2), <f32>NativeMath.cos(angle) * scale)
        store<f32>(sines + (i << 2), <f32>NativeMath.sin(angle) * scale)
      }
      known = row
    }
    const from = x + (unit * D << 2)
    const into = out + (unit * D << 2)
    for (let i: u32 = 0; i < half; i++) {
      const a = load<f32>(from + (i << 2))
      const b = load<f32>(from + ((i + half) << 2))
      const c = load<f32>(cosines + (i << 2))
      const s = load<f32>(sines + (i << 2))
      store<f32>(into + (i << 2), a * c - b * s)
      store<f32>(into + ((i + half) << 2), b * c + a * s)
    }
  }
}

/** Writes rows of `rowBytes` into their slots, each its own, in place. */
export function kv_append(
  cache: usize, count: u32, rowBytes: u32, x: usize, rows: u32, slots: usize, part: u32, parts: u32
): void {
  for (let row = part; row < rows; row += parts) {
    const slot = load<u32>(slots + (row << 2))
    if (slot >= count) unreachable()
    memory.copy(cache + slot * rowBytes, x + row * rowBytes, rowBytes)
  }
}

/**
 * Causal attention of q [L, heads, D] over pages of keys and values [slots, kvHeads, D], softmax online by blocks of positions
 * (Milakov and Gimelshein 2018). Row l sees the positions of table `sequences[l]` of `tables` [count, pages]: position p in slot
 * table[p / pageSize] * pageSize + p % pageSize. The query heads of one key-value head go together, so that its keys and values
 * are read once. `window` 0: no window; `sinks` 0: none.
 * `scratch`: 4 * (heads / kvHeads) * (BLOCK + 2) bytes a thread.
 */
export function attention(
  q: usize, rows: u32, heads: u32, D: u32, keys: usize, values: usize, kvHeads: u32, positions: usize, sequences: usize,
  tables: usize, count: u32, pages: u32, pageSize: u32, sinks: usize, sinksType: u32, scale: f32, window: u32, out: usize,
  scratch: usize, part: u32, parts: u32
): void {
  const shared = heads / kvHeads
  const units = rows * kvHeads
  const sinkSize = sinksType == 0 ? 2 : 1
  const maxima = scratch
  const totals = scratch + (shared << 2)
  const scores = totals + (shared << 2)
  const rowBytes = kvHeads * D << 2
  for (let unit = part; unit < units; unit += parts) {
    const row = unit / kvHeads
    const kv = unit % kvHeads
    const position = load<u32>(positions + (row << 2))
    const sequence = load<u32>(sequences + (row << 2))
    if (sequence >= count) unreachable()
    const table = tables + (sequence * pages << 2)
    const first: u32 = window == 0 || position + 1 < window ? 0 : position + 1 - window
    const queries = q + ((row * heads + kv * shared) * D << 2)
    const into = out + ((row * heads + kv * shared) * D << 2)
    const keyHead = keys + (kv * D << 2)
    const valueHead = values + (kv * D << 2)
    for (let h: u32 = 0; h < shared; h++) {
      const sink: f32 = sinks == 0 ? -Infinity : loadFloat(sinks + ((kv * shared + h) << sinkSize), sinksType)
      store<f32>(maxima + (h << 2), sink)
      store<f32>(totals + (h << 2), sinks == 0 ? 0 : 1)
    }
    memory.fill(into, 0, shared * D << 2)
    let from = first
    while (from <= position) {
      // A block ends with its page, so that its vectors lie in a row.
      const start = from % pageSize
      const length = min(min(BLOCK, pageSize - start), position + 1 - from)
      const slot = (load<u32>(table + (from / pageSize << 2)) * pageSize + start) * rowBytes
      for (let j: u32 = 0; j < length; j++) {
        const key = keyHead + slot + j * rowBytes
        for (let h: u32 = 0; h < shared; h++) {
          store<f32>(scores + ((h * BLOCK + j) << 2), dotHead(queries + (h * D << 2), key, D) * scale)
        }
      }
      for (let h: u32 = 0; h < shared; h++) {
        rescale(scores + (h * BLOCK << 2), length, maxima + (h << 2), totals + (h << 2), into + (h * D << 2), D)
      }
      for (let h: u32 = 0; h < shared; h++) {
        addValues(scores + (h * BLOCK << 2), length, valueHead + slot, rowBytes, into + (h * D << 2), D)
      }
      from += length
    }
    for (let h: u32 = 0; h < shared; h++) {
      const total = load<f32>(totals + (h << 2))
      for (let d: u32 = 0; d < D; d++) {
        const at = into + ((h * D + d) << 2)
        store<f32>(at, load<f32>(at) / total)
      }
    }
  }
}

function dotHead(a: usize, b: usize, D: u32): f32 {
  let r0 = f32x4.splat(0), r1 = f32x4.splat(0), r2 = f32x4.splat(0), r3 = f32x4.splat(0)
  let d: u32 = 0
  for (; d + 16 <= D; d += 16, a += 64, b += 64) {
    r0 = madd(v128.load(a), v128.load(b), r0)
    r1 = madd(v128.load(a, 16), v128.load(b, 16), r1)
    r2 = madd(v128.load(a, 32), v128.load(b, 32), r2)
    r3 = madd(v128.load(a, 48), v128.load(b, 48), r3)
  }
  let total = sum(f32x4.add(f32x4.add(r0, r1), f32x4.add(r2, r3)))
  for (; d < D; d++, a += 4, b += 4) total += load<f32>(a) * load<f32>(b)
  return total
}

/** Turns one head's scores into weights relative to the new maximum, and what was summed before likewise. */
function rescale(scores: usize, count: u32, maximum: usize, total: usize, into: usize, D: u32): void {
  // The block is filled up with scores that weigh nothing.
  for (let j = count; j < BLOCK; j++) store<f32>(scores + (j << 2), -Infinity)
  let largest = v128.load32_splat(maximum)
  for (let j: u32 = 0; j < count; j += 4) largest = f32x4.max(largest, v128.load(scores + (j << 2)))
  const top = f32x4.splat(max(largest))
  const correction = exp(f32x4.sub(v128.load32_splat(maximum), top))
  let weights = f32x4.splat(0)
  for (let j: u32 = 0; j < count; j += 4) {
    const weight = exp(f32x4.sub(v128.load(scores + (j << 2)), top))
    v128.store(scores + (j << 2), weight)
    weights = f32x4.add(weights, weight)
  }
  const factor = f32x4.extract_lane(correction, 0)
  store<f32>(total, load<f32>(total) * factor + sum(weights))
  store<f32>(maximum, f32x4.extract_lane(top, 0))
  if (factor == 1) return
  for (let d: u32 = 0; d < D; d++) store<f32>(into + (d << 2), load<f32>(into + (d << 2)) * factor)
}

function addValues(weights: usize, count: u32, values: usize, rowBytes: u32, into: usize, D: u32): void {
  let d: u32 = 0
  for (; d + 16 <= D; d += 16) {
    const to = into + (d << 2)
    let r0 = v128.load(to), r1 = v128.load(to, 16), r2 = v128.load(to, 32), r3 = v128.load(to, 48)
    for (let j: u32 = 0; j < count; j++) {
      const at = values + j * rowBytes + (d << 2)
      const weight = v128.load32_splat(weights + (j << 2))
      r0 = madd(weight, v128.load(at), r0)
      r1 = madd(weight, v128.load(at, 16), r1)
      r2 = madd(weight, v128.load(at, 32), r2)
      r3 = madd(weight, v128.load(at, 48), r3)
    }
    v128.store(to, r0)
    v128.store(to, r1, 16)
    v128.store(to, r2, 32)
    v128.store(to, r3, 48)
  }
  for (; d < D; d++) {
    let total = load<f32>(into + (d << 2))
    for (let j: u32 = 0; j < count; j++) {
      total += load<f32>(weights + (j << 2)) * load<f32>(values + j * rowBytes + (d << 2))
    }
    store<f32>(into + (d << 2), total)
  }
}
