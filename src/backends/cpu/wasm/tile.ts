import { FUSED } from "./fused"
import { addGroup, high, low, SUMS, total } from "./interleaved"
import { groups } from "./quantize"
import { addDotBytes, dot, dotBytes, storeTransposed } from "./simd"
import { fromE8M0, loadBytes4, shiftedE2M1, Weight } from "./weight"

// Four rows of MXFP4 weights that are unpacked to bytes once, to multiply them with many rows of activations of int8. Lanes are rows of
// weights: four bytes of a row, four of the next. The sums of packed_dot.ts, of whose lanes each has every fourth group, are as many
// vectors.

/** Unpacks rows `first` to `first + 3`: `[K / 4, 4, 4]` bytes to `out`, in the order of the activations. */
export function unpackTile(w: Weight, expert: u32, first: u32, out: usize): void {
  const data = w.data + expert * w.dataExpert + first * w.dataRow
  if (w.interleaved) unpackInterleaved(data, out)
  else unpackRows(data, w.dataRow, out)
}

function unpackInterleaved(data: usize, out: usize): void {
  const table = v128.load(shiftedE2M1()), mask = i8x16.splat(15)
  for (let g: u32 = 0; g < groups; g++, data += 64, out += 128) {
    for (let at: usize = 0; at < 64; at += 16) {
      const packed = v128.load(data + at)
      v128.store(out + at, low(packed, table, mask))
      v128.store(out + at, high(packed, table, mask), 64)
    }
  }
}

function unpackRows(data: usize, dataRow: usize, out: usize): void {
  const table = v128.load(shiftedE2M1()), mask = i8x16.splat(15)
  for (let g: u32 = 0; g < groups; g++, data += 16, out += 128) {
    const a = v128.load(data), b = v128.load(data + dataRow), c = v128.load(data + 2 * dataRow), d = v128.load(data + 3 * dataRow)
    storeTransposed(low(a, table, mask), low(b, table, mask), low(c, table, mask), low(d, table, mask), out)
    storeTransposed(high(a, table, mask), high(b, table, mask), high(c, table, mask), high(d, table, mask), out + 64)
  }
}

/** The scales of rows `first` to `first + 3`: `[groups, 4]`. */
export function unpackTileScales(w: Weight, expert: u32, first: u32, out: usize): void {
  const at = w.scales + expert * w.scalesExpert + first * w.scalesRow
  if (w.interleaved) {
    for (let g: u32 = 0; g < groups; g++) v128.store(out + (g << 4), fromE8M0(loadBytes4(at + (g << 2))))
    return
  }
  for (let g: u32 = 0; g < groups; g += 4) {
    const from = at + g
    storeTransposed(
      fromE8M0(loadBytes4(from)), fromE8M0(loadBytes4(from + w.scalesRow)),
      fromE8M0(loadBytes4(from + 2 * w.scalesRow)), fromE8M0(loadBytes4(from + 3 * w.scalesRow)), out + (g << 4),
    )
  }
}

/** The products of four rows with a row of activations, and, where there are `two`, with another: weights are loaded once. */
// @ts-ignore: decorator
@inline
function addGroups(
  two: bool, w: usize, scales: v128, x: usize, y: usize, xScale: usize, yScale: usize, toSums: usize, sums: usize
): void {
  let xs = v128.load32_splat(xScale + toSums), ys = v128.load32_splat(yScale + toSums)
  if (FUSED) {
    // Both halves of the elements are added on their own: an instruction waits for the sum that it adds to.
    let x2 = i32x4.splat(0), y2 = i32x4.splat(0)
    let a = v128.load(w), b = v128.load(w, 64)
    xs = addDotBytes(v128.load32_splat(x), a, xs), x2 = addDotBytes(v128.load32_splat(x, 16), b, x2)
    if (two) ys = addDotBytes(v128.load32_splat(y), a, ys), y2 = addDotBytes(v128.load32_splat(y, 16), b, y2)
    a = v128.load(w, 16), b = v128.load(w, 80)
    xs = addDotBytes(v128.load32_splat(x, 4), a, xs), x2 = addDotBytes(v128.load32_splat(x, 20), b, x2)
    if (two) ys = addDotBytes(v128.load32_splat(y, 4), a, ys), y2 = addDotBytes(v128.load32_splat(y, 20), b, y2)
    a = v128.load(w, 32), b = v128.load(w, 96)
    xs = addDotBytes(v128.load32_splat(x, 8), a, xs), x2 = addDotBytes(v128.load32_splat(x, 24), b, x2)
    if (two) ys = addDotBytes(v128.load32_splat(y, 8), a, ys), y2 = addDotBytes(v128.load32_splat(y, 24), b, y2)
    a = v128.load(w, 48), b = v128.load(w, 112)
    xs = addDotBytes(v128.load32_splat(x, 12), a, xs), x2 = addDotBytes(v128.load32_splat(x, 28), b, x2)
    if (two) ys = addDotBytes(v128.load32_splat(y, 12), a, ys), y2 = addDotBytes(v128.load32_splat(y, 28), b, y2)
    xs = i32x4.add(xs, x2)
    if (two) ys = i32x4.add(ys, y2)
  } else {
    xs = i32x4.add(i32x4.add(half(w, x), half(w + 64, x + 16)), xs)
    if (two) ys = i32x4.add(i32x4.add(half(w, y), half(w + 64, y + 16)), ys)
  }
  v128.store(sums, addGroup(xs, scales, xScale, v128.load(sums)))
  if (two) v128.store(sums, addGroup(ys, scales, yScale, v128.load(sums, SUMS)), SUMS)
}

/** Sixteen bytes of each row times as many activations, of which two to four sums are added so that they fit int16. */
// @ts-ignore: decorator
@inline
function half(w: usize, x: usize): v128 {
  return dot(
    i16x8.add(
      i16x8.add(dotBytes(v128.load32_splat(x), v128.load(w)), dotBytes(v128.load32_splat(x, 4), v128.load(w, 16))),
      i16x8.add(dotBytes(v128.load32_splat(x, 8), v128.load(w, 32)), dotBytes(v128.load32_splat(x, 12), v128.load(w, 48))),
    ), i16x8.splat(1),
  )
}

/**
 * Four unpacked rows of weights times two of activations; from their scales to their sums it is `toSums` bytes. The products with the
 * first lie at `room` then, in the order of the rows, and those with the second `SUMS` bytes further.
 */
export function tile4x2(w: usize, scales: usize, x: usize, y: usize, xScales: usize, yScales: usize, toSums: usize, room: usize): void {
  memory.fill(room, 0, 2 * SUMS)
  for (let g: u32 = 0; g < groups; g++, w += 128, x += 32, y += 32, scales += 16, xScales += 4, yScales += 4) {
    addGroups(true, w, v128.load(scales), x, y, xScales, yScales, toSums, room + ((g & 3) << 4))
  }
  v128.store(room, total(room))
  v128.store(room, total(room + SUMS), SUMS)
}

/** As `tile4x2`, with one row of activations. */
export function tile4x1(w: usize, scales: usize, x: usize, xScales: usize, toSums: usize, room: usize): void {
  memory.fill(room, 0, SUMS)
  for (let g: u32 = 0; g < groups; g++, w += 128, x += 32, scales += 16, xScales += 4) {
    addGroups(false, w, v128.load(scales), x, x, xScales, xScales, toSums, room + ((g & 3) << 4))
  }
  v128.store(room, total(room))
}
