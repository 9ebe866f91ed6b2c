import { attendVectors, begin, beginTotals, BLOCK, finish, locate, Tile, TILE_BYTES } from "./attention_tile"
import { decodeVectors, isRotated, vectorBytes } from "./kv_cache"
import { take } from "./share"

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
      locate(tile, scratch + TILE_BYTES)
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
