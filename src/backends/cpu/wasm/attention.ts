import { hadamard } from "./hadamard"
import { copyFloats, decodeVectors, isRotated, vectorBytes } from "./kv_cache"
import { take } from "./share"
import { expNonPositive, madd } from "./simd"
import { loadFloat } from "./weight"

/** Positions whose keys and values are decoded at a time: a multiple of 4. ATTENTION_BLOCK in kernels.ts. */
const BLOCK: u32 = 32

/** Rows that share what is decoded, if they follow each other in one sequence. ATTENTION_ROWS in kernels.ts. */
const ROWS: u32 = 8

/** The pages that rows see: position p of a sequence lies in slot table[p / size] * size + p % size of its table. */
@unmanaged
class Pages {
  /** `[slots, heads]` vectors of D elements, in one of the formats of kv_cache.ts. */
  keys: usize
  values: usize
  slots: u32
  heads: u32
  D: u32
  format: u32
  /** `[sequences, length]`. */
  tables: usize
  sequences: u32
  length: u32
  size: u32
}

/**
 * Causal attention of q [rows, heads, D], softmax online by blocks of positions (Milakov and Gimelshein 2018). `window` 0: no
 * window; `sinks` 0: none.
 *
 * The parts take from `counter` ROWS rows and a key-value head at a time, whose keys and values are read and decoded once for
 * its query heads of consecutive rows. Blocks begin where the positions say, so that a row comes to the same bits alone.
 * `scratch`: attentionScratch in kernels.ts.
 */
export function attention(
  q: usize, rows: u32, heads: u32, pages: Pages, positions: usize, sequences: usize, sinks: usize, sinksType: u32,
  scale: f32, window: u32, out: usize, counter: usize, scratch: usize, part: u32, parts: u32
): void {
  const D = pages.D, kvHeads = pages.heads
  const shared = heads / kvHeads
  const vectors = (shared + 3) >> 2
  const groups = (rows + ROWS - 1) / ROWS * kvHeads
  // Where there are more parts than key-value heads to go round, several take a share of the query heads each.
  const shares = min(vectors, (parts + groups - 1) / groups)
  const units = groups * shares
  const tile = changetype<Tile>(scratch)
  for (let unit = take(counter, 1); unit < units; unit = take(counter, 1)) {
    const group = unit / shares
    const kv = group % kvHeads
    const lead = (unit % shares) * vectors / shares << 2
    const trail = min(shared, (unit % shares + 1) * vectors / shares << 2)
    const head = kv * shared + lead
    const end = min(rows, (group / kvHeads + 1) * ROWS)
    let row = group / kvHeads * ROWS
    while (row < end) {
      tile.rows = runLength(positions + (row << 2), sequences + (row << 2), end - row)
      tile.position = load<u32>(positions + (row << 2))
      tile.window = window
      tile.heads = trail - lead
      tile.D = D
      tile.isRotated = isRotated(pages.format)
      locate(tile, scratch + offsetof<Tile>())
      const first = (row * heads + head) * D << 2
      begin(tile, q + first, heads * D << 2, scale)
      beginTotals(tile, sinks, sinksType, head)
      attendPages(tile, pages, load<u32>(sequences + (row << 2)), kv)
      finish(tile, out + first, heads * D << 2)
      row += tile.rows
    }
  }
}

/** Goes through the positions that the rows of a tile see, by blocks that end with a page and at each multiple of BLOCK in it. */
function attendPages(tile: Tile, pages: Pages, sequence: u32, kv: u32): void {
  const last = tile.position + tile.rows - 1
  if (sequence >= pages.sequences || last / pages.size >= pages.length) unreachable()
  const table = pages.tables + (sequence * pages.length << 2)
  const bytes = vectorBytes(pages.format, pages.D)
  const stride = pages.heads * bytes
  let from = firstSeen(tile.position, tile.window)
  while (from <= last) {
    const start = from % pages.size
    const count = min(BLOCK - start % BLOCK, min(pages.size - start, last + 1 - from))
    const slot = <u64>load<u32>(table + (from / pages.size << 2)) * pages.size + start
    if (slot + count > pages.slots) unreachable()
    const at = <u32>slot * stride + kv * bytes
    decodeVectors(pages.format, pages.keys + at, stride, count, pages.D, tile.keys)
    decodeVectors(pages.format, pages.values + at, stride, count, pages.D, tile.values)
    attend(tile, from, count)
    from += count
  }
}

/** How many rows from the first on are consecutive positions of one sequence. */
function runLength(positions: usize, sequences: usize, most: u32): u32 {
  let length: u32 = 1
  while (
    length < most &&
    load<u32>(sequences + (length << 2)) == load<u32>(sequences) &&
    load<u32>(positions + (length << 2)) == load<u32>(positions) + length
  ) length++
  return length
}

// @ts-ignore: decorator
@inline
function firstSeen(position: u32, window: u32): u32 {
  return window == 0 || position + 1 < window ? 0 : position + 1 - window
}

/**
 * Consecutive rows of one sequence with the query heads of one key-value head, four to a vector: a row's heads begin a vector.
 * What is computed for a head is computed in its lane.
 */
@unmanaged
class Tile {
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

function locate(tile: Tile, at: usize): void {
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

function begin(tile: Tile, q: usize, rowBytes: u32, scale: f32): void {
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
function beginTotals(tile: Tile, sinks: usize, sinksType: u32, head: u32): void {
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

/** Adds the block of `count` positions from `from` on to the rows that see them. */
function attend(tile: Tile, from: u32, count: u32): void {
  const rows = tile.rows, position = tile.position, window = tile.window, vectors = tile.vectors
  if (firstSeen(position + rows - 1, window) <= from && from + count <= position + 1) {
    attendVectors(tile, 0, rows * vectors, 0, count)
    return
  }
  for (let row: u32 = 0; row < rows; row++) {
    const seen = max(firstSeen(position + row, window), from)
    const end = min(from + count, position + row + 1)
    if (seen < end) attendVectors(tile, row * vectors, (row + 1) * vectors, seen - from, end - from)
  }
}

function attendVectors(tile: Tile, first: u32, end: u32, from: u32, to: u32): void {
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

function finish(tile: Tile, out: usize, rowBytes: u32): void {
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
