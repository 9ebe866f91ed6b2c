import { hadamard } from "./hadamard"
import { copyFloats } from "./kv_cache"
import { expNonPositive, madd } from "./simd"
import { loadFloat } from "./weight"

/** Positions whose keys and values are decoded at a time: a multiple of 4. ATTENTION_BLOCK in kernels.ts. */
export const BLOCK: u32 = 32

/**
 * Consecutive rows of one sequence with the query heads of one key-value head, four to a vector: a row's heads begin a vector.
 * What is computed for a head is computed in its lane.
 */
@unmanaged
export class Tile {
  rows: u32
  /** Of the first row. */
  position: u32
  window: u32
  /** Query heads of a row, and the vectors they fill. */
  heads: u32
  vectors: u32
  D: u32
  /** Queries are rotated as keys are, and sums back. */
  isRotated: bool
  /** D rounded up to 4. */
  width: u32
  /** By vector, its lanes of each of D elements, scaled. */
  queries: usize
  /** By vector, its lanes' scores of each position of a block, then their weights. */
  scores: usize
  /** By vector: the largest score so far, and the sum of weights relative to it. */
  maxima: usize
  totals: usize
  /** By head, the weighted sum of values: `width` elements. */
  sums: usize
  /** The block's, of `width` elements each. */
  keys: usize
  values: usize
}

/** As much as it takes, so that what follows lies on whole vectors. TILE_BYTES in kernels.ts. */
export const TILE_BYTES: u32 = 64

export function locate(tile: Tile, at: usize): void {
  const vectors = (tile.heads + 3) >> 2
  const width = (tile.D + 3) & ~3
  const all = tile.rows * vectors
  tile.vectors = vectors
  tile.width = width
  tile.queries = at
  tile.scores = tile.queries + (all * tile.D << 4)
  tile.maxima = tile.scores + (all * BLOCK << 4)
  tile.totals = tile.maxima + (all << 4)
  tile.sums = tile.totals + (all << 4)
  tile.keys = tile.sums + (all * width << 4)
  tile.values = tile.keys + (BLOCK * width << 2)
}

export function begin(tile: Tile, q: usize, rowBytes: u32, scale: f32): void {
  const rows = tile.rows, heads = tile.heads, D = tile.D, vectors = tile.vectors
  memory.fill(tile.queries, 0, rows * vectors * D << 4)
  memory.fill(tile.sums, 0, rows * vectors * tile.width << 4)
  for (let row: u32 = 0; row < rows; row++) {
    for (let h: u32 = 0; h < heads; h++) {
      let from = q + row * rowBytes + (h * D << 2)
      if (tile.isRotated) {
        // No keys are there yet.
        copyFloats(from, D << 2, tile.keys)
        from = tile.keys
        hadamard(from, D)
      }
      const to = tile.queries + ((row * vectors + (h >> 2)) * D << 4) + ((h & 3) << 2)
      for (let d: u32 = 0; d < D; d++) store<f32>(to + (d << 4), load<f32>(from + (d << 2)) * scale)
    }
  }
}

/** A sink is a score whose value is zero. */
export function beginTotals(tile: Tile, sinks: usize, sinksType: u32, head: u32): void {
  const size = sinksType == 0 ? 2 : 1
  for (let row: u32 = 0; row < tile.rows; row++) {
    const at = row * tile.vectors << 4
    for (let h: u32 = 0; h < tile.vectors << 2; h++) {
      const isSunk = sinks != 0 && h < tile.heads
      store<f32>(tile.maxima + at + (h << 2), isSunk ? loadFloat(sinks + ((head + h) << size), sinksType) : -Infinity)
      store<f32>(tile.totals + at + (h << 2), isSunk ? 1 : 0)
    }
  }
}

/** Adds a block's positions `from` to `to` to the vectors `first` to `end`. */
export function attendVectors(tile: Tile, first: u32, end: u32, from: u32, to: u32): void {
  let vector = first
  // Scores before `from` and after `to` are of whatever lies there, and not looked at.
  for (; vector + 2 <= end; vector += 2) scorePair(tile, vector, from & ~3, to)
  if (vector < end) scoreOne(tile, vector, from & ~3, to)
  for (vector = first; vector < end; vector++) {
    const factor = weigh(tile, vector, from, to)
    addValues(tile, vector, from, to, factor)
  }
}

/** The scores of two vectors of heads, four positions at a time. */
function scorePair(tile: Tile, vector: u32, from: u32, to: u32): void {
  const D = tile.D
  const stride = tile.width << 2
  const step = D << 4
  const queries = tile.queries + vector * step
  const end = queries + step
  for (let j = from; j < to; j += 4) {
    let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0
    let key0 = tile.keys + j * stride
    let key1 = key0 + stride, key2 = key1 + stride, key3 = key2 + stride
    for (let at = queries; at < end; at += 16, key0 += 4, key1 += 4, key2 += 4, key3 += 4) {
      const a = v128.load(at)
      const b = v128.load(at + step)
      const k0 = v128.load32_splat(key0)
      a0 = madd(a, k0, a0)
      b0 = madd(b, k0, b0)
      const k1 = v128.load32_splat(key1)
      a1 = madd(a, k1, a1)
      b1 = madd(b, k1, b1)
      const k2 = v128.load32_splat(key2)
      a2 = madd(a, k2, a2)
      b2 = madd(b, k2, b2)
      const k3 = v128.load32_splat(key3)
      a3 = madd(a, k3, a3)
      b3 = madd(b, k3, b3)
    }
    const scores = tile.scores + ((vector * BLOCK + j) << 4)
    v128.store(scores, a0)
    v128.store(scores, a1, 16)
    v128.store(scores, a2, 32)
    v128.store(scores, a3, 48)
    v128.store(scores, b0, BLOCK << 4)
    v128.store(scores, b1, (BLOCK << 4) + 16)
    v128.store(scores, b2, (BLOCK << 4) + 32)
    v128.store(scores, b3, (BLOCK << 4) + 48)
  }
}

function scoreOne(tile: Tile, vector: u32, from: u32, to: u32): void {
  const D = tile.D
  const stride = tile.width << 2
  const queries = tile.queries + (vector * D << 4)
  const end = queries + (D << 4)
  for (let j = from; j < to; j += 4) {
    let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0
    let key0 = tile.keys + j * stride
    let key1 = key0 + stride, key2 = key1 + stride, key3 = key2 + stride
    for (let at = queries; at < end; at += 16, key0 += 4, key1 += 4, key2 += 4, key3 += 4) {
      const a = v128.load(at)
      a0 = madd(a, v128.load32_splat(key0), a0)
      a1 = madd(a, v128.load32_splat(key1), a1)
      a2 = madd(a, v128.load32_splat(key2), a2)
      a3 = madd(a, v128.load32_splat(key3), a3)
    }
    const scores = tile.scores + ((vector * BLOCK + j) << 4)
    v128.store(scores, a0)
    v128.store(scores, a1, 16)
    v128.store(scores, a2, 32)
    v128.store(scores, a3, 48)
  }
}

/** Turns a vector's scores into weights relative to the new maxima; returns what earlier weights are to be multiplied by. */
function weigh(tile: Tile, vector: u32, from: u32, to: u32): v128 {
  const scores = tile.scores + (vector * BLOCK << 4)
  const maxima = tile.maxima + (vector << 4)
  const totals = tile.totals + (vector << 4)
  const before = v128.load(maxima)
  let largest = before
  for (let j = from; j < to; j++) largest = f32x4.pmax(largest, v128.load(scores + (j << 4)))
  let total = f32x4.splat(0)
  for (let j = from; j < to; j++) {
    const weight = expNonPositive(f32x4.sub(v128.load(scores + (j << 4)), largest))
    v128.store(scores + (j << 4), weight)
    total = f32x4.add(total, weight)
  }
  const factor = expNonPositive(f32x4.sub(before, largest))
  v128.store(maxima, largest)
  v128.store(totals, madd(v128.load(totals), factor, total))
  return factor
}

/** The sums of a vector's four heads, after what they were is multiplied by `factor`: eight elements at a time, then four. */
function addValues(tile: Tile, vector: u32, from: u32, to: u32, factor: v128): void {
  const stride = tile.width << 2
  const weights = tile.scores + ((vector * BLOCK + from) << 4)
  const end = tile.scores + ((vector * BLOCK + to) << 4)
  const sums = tile.sums + ((vector * tile.width) << 4)
  const values = tile.values + from * stride
  const f0 = v128.shuffle<f32>(factor, factor, 0, 0, 0, 0)
  const f1 = v128.shuffle<f32>(factor, factor, 1, 1, 1, 1)
  const f2 = v128.shuffle<f32>(factor, factor, 2, 2, 2, 2)
  const f3 = v128.shuffle<f32>(factor, factor, 3, 3, 3, 3)
  let d: u32 = 0
  for (; d + 32 <= stride; d += 32) {
    const s0 = sums + d, s1 = s0 + stride, s2 = s1 + stride, s3 = s2 + stride
    let a0 = f32x4.mul(v128.load(s0), f0), b0 = f32x4.mul(v128.load(s0, 16), f0)
    let a1 = f32x4.mul(v128.load(s1), f1), b1 = f32x4.mul(v128.load(s1, 16), f1)
    let a2 = f32x4.mul(v128.load(s2), f2), b2 = f32x4.mul(v128.load(s2, 16), f2)
    let a3 = f32x4.mul(v128.load(s3), f3), b3 = f32x4.mul(v128.load(s3, 16), f3)
    for (let at = weights, value = values + d; at < end; at += 16, value += stride) {
      const a = v128.load(value)
      const b = v128.load(value, 16)
      const w0 = v128.load32_splat(at)
      a0 = madd(a, w0, a0)
      b0 = madd(b, w0, b0)
      const w1 = v128.load32_splat(at, 4)
      a1 = madd(a, w1, a1)
      b1 = madd(b, w1, b1)
      const w2 = v128.load32_splat(at, 8)
      a2 = madd(a, w2, a2)
      b2 = madd(b, w2, b2)
      const w3 = v128.load32_splat(at, 12)
      a3 = madd(a, w3, a3)
      b3 = madd(b, w3, b3)
    }
    v128.store(s0, a0)
    v128.store(s0, b0, 16)
    v128.store(s1, a1)
    v128.store(s1, b1, 16)
    v128.store(s2, a2)
    v128.store(s2, b2, 16)
    v128.store(s3, a3)
    v128.store(s3, b3, 16)
  }
  if (d == stride) return
  const s0 = sums + d, s1 = s0 + stride, s2 = s1 + stride, s3 = s2 + stride
  let a0 = f32x4.mul(v128.load(s0), f0)
  let a1 = f32x4.mul(v128.load(s1), f1)
  let a2 = f32x4.mul(v128.load(s2), f2)
  let a3 = f32x4.mul(v128.load(s3), f3)
  for (let at = weights, value = values + d; at < end; at += 16, value += stride) {
    const a = v128.load(value)
    a0 = madd(a, v128.load32_splat(at), a0)
    a1 = madd(a, v128.load32_splat(at, 4), a1)
    a2 = madd(a, v128.load32_splat(at, 8), a2)
    a3 = madd(a, v128.load32_splat(at, 12), a3)
  }
  v128.store(s0, a0)
  v128.store(s1, a1)
  v128.store(s2, a2)
  v128.store(s3, a3)
}

export function finish(tile: Tile, out: usize, rowBytes: u32): void {
  const rows = tile.rows, D = tile.D, heads = tile.heads
  for (let row: u32 = 0; row < rows; row++) {
    const lanes = row * tile.vectors << 2
    for (let h: u32 = 0; h < heads; h++) {
      const from = tile.sums + ((lanes + h) * tile.width << 2)
      const to = out + row * rowBytes + (h * D << 2)
      const total = load<f32>(tile.totals + ((lanes + h) << 2))
      if (tile.isRotated) hadamard(from, D)
      for (let d: u32 = 0; d < D; d++) store<f32>(to + (d << 2), load<f32>(from + (d << 2)) / total)
    }
  }
}
