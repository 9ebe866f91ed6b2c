import { FUSED } from "./fused"
import { bfloat16s4x1, dotFloats, floats4x1 } from "./float_dot"
import { interleaved4x1, interleaved4x2, SUMS, TOGETHER } from "./interleaved"
import { isDirect, packed1x1 } from "./packed_dot"
import { BYTES, form, locate, scales as activationScales, stride as rowBytes, sums, values, valuesRow } from "./quantize"
import { tile4x1, tile4x2, unpackTile, unpackTileScales } from "./tile"
import { loadRowBiases, loadRowScales, unpacked1x1, unpackRow, wide2x2 } from "./unpacked_dot"
import { AFFINE, BFLOAT16, decodeRow, DENSE, outputBias, Weight } from "./weight"

// The products of rows of a weight with rows of activations, whatever the format of either.

/** Weight rows worked on at a time: decoded once, used for all activation rows. */
export const TILE: u32 = 4
/** The most rows in a block, as `blockRows` has it. */
export const BLOCK: u32 = 64
/** Up to so many activation rows it is faster to multiply packed weights directly than to unpack them first. */
const DIRECT_ROWS: u32 = FUSED ? 4 : 2
const INTERLEAVED_ROWS: u32 = 6

/** Bytes in which sums of groups are put together: of two rows with two, or of four with two. */
const ROOM: u32 = 256

/** What a matmul works with: activations, and per thread the memory given as scratch (matmulScratch in kernels.ts). */
let w: Weight = changetype<Weight>(0)
let integer: bool = false
let activations: usize = 0
let tileScales: usize = 0
let tileBiases: usize = 0
let tile: usize = 0
/** Where unpacked rows lie, and how far from each other. */
let unpacked: usize = 0
let unpackedRow: u32 = 0
let room: usize = 0
/** The activation row, and the address of the output row, of each product asked for. */
let sources: usize = 0
export let targets: usize = 0
export let count: u32 = 0

let top: usize = 0

/** Memory of the scratch, until the next `begin`. */
export function allocate(bytes: usize): usize {
  const at = top
  top += (bytes + 63) & ~63
  return at
}

/** `quantized`: the rows of x as `quantize` left them, or 0 for float32 products. */
export function begin(x: usize, rows: u32, pairs: u32, weight: Weight, quantized: usize, scratch: usize): void {
  top = scratch
  activations = x
  sources = allocate(pairs << 2)
  targets = allocate(pairs << 2)
  tile = allocate(TILE * weight.K << 2)
  count = 0
  integer = quantized != 0
  if (integer) {
    locate(quantized, rows, weight)
    tileScales = allocate(rowBytes * TILE)
    tileBiases = allocate(rowBytes * TILE)
    room = allocate(ROOM)
  }
  select(weight)
}

/** Goes on with another weight of the same format. */
export function select(weight: Weight): void {
  w = weight
}

/** Forgets the products that were asked for. */
export function clear(): void {
  count = 0
}

/** Has the products go to these addresses, in the order in which they were asked for. */
export function aim(to: usize): void {
  targets = to
}

/** Asks for the products with an activation row; they go to `target`. */
export function add(source: u32, target: usize): void {
  store<u32>(sources + (count << 2), source)
  store<usize>(targets + (count << 2), target)
  count++
}

/** Products of weight rows `[from, to)` with all sources; row n goes to the targets' element `n - origin`. */
export function multiplyRange(expert: u32, from: u32, to: u32, origin: u32): void {
  if (integer && w.interleaved && count <= INTERLEAVED_ROWS) {
    multiplyInterleaved(expert, from, to, origin)
    return
  }
  if (integer && !w.interleaved && count <= DIRECT_ROWS && isDirect(w)) {
    multiplyPacked(expert, from, to, origin)
    return
  }
  for (let n = from; n < to; n += TILE) {
    const rows = min(TILE, to - n)
    if (rows == TILE) touchRows(w.data + expert * w.dataExpert + n * w.dataRow, w.dataRow, w.dataRow)
    if (!integer) multiplyFloats(expert, n, rows, origin)
    else if (form == BYTES) multiplyTile(expert, n, rows, origin)
    else multiplyUnpacked(expert, n, rows, origin)
  }
}

function multiplyFloats(expert: u32, n: u32, rows: u32, origin: u32): void {
  const K = w.K
  const stride = K << 2
  if (rows == TILE && count <= DIRECT_ROWS && w.mode == DENSE && w.floats == BFLOAT16) {
    const data = w.data + expert * w.dataExpert + n * w.dataRow
    for (let i: u32 = 0; i < count; i++) {
      const x = activations + load<u32>(sources + (i << 2)) * stride
      const target = load<usize>(targets + (i << 2)) + ((n - origin) << 2)
      v128.store(target, f32x4.add(bfloat16s4x1(data, w.dataRow, x, K), bias4(expert, n)))
    }
    return
  }
  for (let r: u32 = 0; r < rows; r++) decodeRow(w, expert, n + r, tile + r * stride)
  for (let i: u32 = 0; i < count; i++) {
    const x = activations + load<u32>(sources + (i << 2)) * stride
    const target = load<usize>(targets + (i << 2)) + ((n - origin) << 2)
    if (rows == TILE) v128.store(target, f32x4.add(floats4x1(tile, stride, x, K), bias4(expert, n)))
    else {
      for (let r: u32 = 0; r < rows; r++) {
        store<f32>(target + (r << 2), dotFloats(tile + r * stride, x, K) + outputBias(w, expert, n + r))
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function bias4(expert: u32, n: u32): v128 {
  return f32x4(
    outputBias(w, expert, n), outputBias(w, expert, n + 1), outputBias(w, expert, n + 2), outputBias(w, expert, n + 3)
  )
}

/** Rows far apart that are worked on in turn: memory gives several streams faster than one. */
const STREAMS: u32 = 4

/** What `touch` read: it has to be kept somewhere, or nothing would be read. */
let touched: u32 = 0

/**
 * Brings four stretches of memory into the cache. In a burst: a processor waits for no more lines at once than it finds among its next few
 * hundred instructions, and products have many to a line. MXFP4 streams half as fast again for it.
 */
function touch(a: usize, b: usize, c: usize, d: usize, bytes: u32): void {
  let all: u32 = 0
  for (let at: usize = 0; at < bytes; at += 64) {
    all ^= load<u32>(a + at) ^ load<u32>(b + at) ^ load<u32>(c + at) ^ load<u32>(d + at)
  }
  touched = all
}

/** Rows `apart` bytes from each other. */
function touchRows(row: usize, apart: usize, bytes: u32): void {
  touch(row, row + apart, row + 2 * apart, row + 3 * apart, bytes)
}

/** Rows that are interleaved lie together: two streams of four rows are as many lines as the cache should take at once. */
function multiplyInterleaved(expert: u32, from: u32, to: u32, origin: u32): void {
  const blocks = (to - from) / TOGETHER
  const apart = (blocks + 1) / 2 * TOGETHER
  const bytes = TOGETHER * (w.K >> 1)
  const data = w.data + expert * w.dataExpert
  for (let n = from; n < from + apart; n += TOGETHER) {
    const block = data + n * w.dataRow
    const other = block + apart * w.dataRow
    if (n + apart < to) touch(block, block + (bytes >> 1), other, other + (bytes >> 1), bytes >> 1)
    for (let row = n; row < to; row += apart) multiplyBlock(expert, data + row * w.dataRow, row, origin)
  }
}

function multiplyBlock(expert: u32, data: usize, row: u32, origin: u32): void {
  const scales = w.scales + expert * w.scalesExpert + row * w.scalesRow
  const toSums = sums - activationScales
  let i: u32 = 0
  for (; i + 2 <= count; i += 2) {
    const a = load<u32>(sources + (i << 2)), b = load<u32>(sources + (i << 2), 4)
    interleaved4x2(
      data, scales, values + a * valuesRow, values + b * valuesRow,
      activationScales + a * rowBytes, activationScales + b * rowBytes, toSums, room,
    )
    putRows(expert, row, TILE, i, origin, room)
    putRows(expert, row, TILE, i + 1, origin, room + SUMS)
  }
  if (i == count) return
  const last = load<u32>(sources + (i << 2))
  const at = activationScales + last * rowBytes
  v128.store(room, interleaved4x1(data, scales, values + last * valuesRow, at, at + toSums))
  putRows(expert, row, TILE, i, origin, room)
}

function multiplyPacked(expert: u32, from: u32, to: u32, origin: u32): void {
  const apart = (to - from + STREAMS - 1) / STREAMS
  const data = w.data + expert * w.dataExpert
  for (let n = from; n < from + apart; n++) {
    // The last stream may be shorter.
    if (n + (STREAMS - 1) * apart < to) touchRows(data + n * w.dataRow, apart * w.dataRow, w.dataRow)
    for (let row = n; row < to; row += apart) multiplyRow(expert, data + row * w.dataRow, row, origin)
  }
}

function multiplyRow(expert: u32, data: usize, row: u32, origin: u32): void {
  const scales = w.scales + expert * w.scalesExpert + row * w.scalesRow
  const biases = w.biases + expert * w.biasesExpert + row * w.biasesRow
  const bias = outputBias(w, expert, row)
  for (let i: u32 = 0; i < count; i++) {
    const source = load<u32>(sources + (i << 2))
    const toScales = source * rowBytes
    const result = packed1x1(
      w, data, scales, biases, values + source * valuesRow, activationScales + toScales, sums + toScales, room,
    )
    store<f32>(load<usize>(targets + (i << 2)) + ((row - origin) << 2), result + bias)
  }
}

function multiplyUnpacked(expert: u32, n: u32, rows: u32, origin: u32): void {
  const data = w.data + expert * w.dataExpert + n * w.dataRow
  // Bytes are what rows would be unpacked to.
  const asTheyLie = FUSED && w.bits == 8
  unpacked = asTheyLie ? data : tile
  unpackedRow = asTheyLie ? w.dataRow : valuesRow
  for (let r: u32 = 0; r < rows; r++) {
    if (!asTheyLie) unpackRow(w, data + r * w.dataRow, tile + r * valuesRow)
    loadRowScales(w, w.scales + expert * w.scalesExpert + (n + r) * w.scalesRow, tileScales + r * rowBytes)
    if (w.mode != AFFINE) continue
    const biases = w.biases + expert * w.biasesExpert + (n + r) * w.biasesRow
    loadRowBiases(w, biases, tileBiases + r * rowBytes)
  }
  let i: u32 = 0
  if (rows == TILE) {
    for (; i + 2 <= count; i += 2) for (let r: u32 = 0; r < TILE; r += 2) multiplyTwoByTwo(expert, n, r, i, origin)
  }
  for (; i < count; i++) for (let r: u32 = 0; r < rows; r++) multiplyByOne(expert, n, r, i, origin)
}

function multiplyTile(expert: u32, n: u32, rows: u32, origin: u32): void {
  // What is missing of four rows is worked out from the last ones once more.
  const first = n + rows < TILE ? 0 : n + rows - TILE
  unpackTile(w, expert, first, tile)
  unpackTileScales(w, expert, first, tileScales)
  const toSums = sums - activationScales
  let i: u32 = 0
  for (; i + 2 <= count; i += 2) {
    const a = load<u32>(sources + (i << 2)), b = load<u32>(sources + (i << 2), 4)
    tile4x2(
      tile, tileScales, values + a * valuesRow, values + b * valuesRow,
      activationScales + a * rowBytes, activationScales + b * rowBytes, toSums, room,
    )
    putRows(expert, n, rows, i, origin, room + ((n - first) << 2))
    putRows(expert, n, rows, i + 1, origin, room + SUMS + ((n - first) << 2))
  }
  if (i == count) return
  const last = load<u32>(sources + (i << 2))
  tile4x1(tile, tileScales, values + last * valuesRow, activationScales + last * rowBytes, toSums, room)
  putRows(expert, n, rows, i, origin, room + ((n - first) << 2))
}

function putRows(expert: u32, n: u32, rows: u32, i: u32, origin: u32, products: usize): void {
  const target = load<usize>(targets + (i << 2)) + ((n - origin) << 2)
  if (rows == TILE) v128.store(target, f32x4.add(v128.load(products), bias4(expert, n)))
  else {
    for (let r: u32 = 0; r < rows; r++) {
      store<f32>(target + (r << 2), load<f32>(products + (r << 2)) + outputBias(w, expert, n + r))
    }
  }
}

function multiplyTwoByTwo(expert: u32, n: u32, r: u32, i: u32, origin: u32): void {
  const first = load<u32>(sources + (i << 2)), second = load<u32>(sources + (i << 2), 4)
  const scales = tileScales + r * rowBytes
  const four = wide2x2(
    unpacked + r * unpackedRow, unpackedRow, scales, w.mode == AFFINE ? tileBiases + r * rowBytes : 0,
    values + first * valuesRow, values + second * valuesRow,
    activationScales + first * rowBytes, activationScales + second * rowBytes, sums - activationScales, room,
  )
  const a = outputBias(w, expert, n + r), b = outputBias(w, expert, n + r + 1)
  const results = f32x4.add(four, f32x4(a, b, a, b))
  const at = (n + r - origin) << 2
  v128.store64_lane(load<usize>(targets + (i << 2)) + at, results, 0)
  v128.store64_lane(load<usize>(targets + (i << 2), 4) + at, results, 1)
}

function multiplyByOne(expert: u32, n: u32, r: u32, i: u32, origin: u32): void {
  const source = load<u32>(sources + (i << 2))
  const scales = tileScales + r * rowBytes
  const result = unpacked1x1(
    unpacked + r * unpackedRow, scales, w.mode == AFFINE ? tileBiases + r * rowBytes : 0,
    values + source * valuesRow, activationScales + source * rowBytes, sums - activationScales, room,
  )
  store<f32>(load<usize>(targets + (i << 2)) + ((n + r - origin) << 2), result + outputBias(w, expert, n + r))
}
