import { groups } from "./quantize"
import { dot, dotBytes, firstLanes, lookup16, madd } from "./simd"
import { fromE8M0, loadBytes4, shiftedE2M1 } from "./weight"

// Four rows of MXFP4 weights that are unpacked to bytes once, to multiply them with many rows of activations of int8. Lanes are
// rows of weights here: the sums of packed_dot.ts, of whose lanes each has every fourth group, are as many vectors.

/** Bytes of `room` for a row of activations: four sums, and what their zero points add. */
const SUMS: usize = 128

/** Unpacks a group of each of four rows, `dataRow` bytes apart: eight vectors, of four elements a row each. */
// @ts-ignore: decorator
@inline
function unpackGroup(data: usize, dataRow: usize, table: v128, out: usize): void {
  const mask = i8x16.splat(15)
  const a = v128.load(data), b = v128.load(data + dataRow), c = v128.load(data + 2 * dataRow), d = v128.load(data + 3 * dataRow)
  transpose(
    lookup16(table, v128.and(a, mask)), lookup16(table, v128.and(b, mask)),
    lookup16(table, v128.and(c, mask)), lookup16(table, v128.and(d, mask)), out,
  )
  transpose(
    lookup16(table, v128.and(i16x8.shr_u(a, 4), mask)), lookup16(table, v128.and(i16x8.shr_u(b, 4), mask)),
    lookup16(table, v128.and(i16x8.shr_u(c, 4), mask)), lookup16(table, v128.and(i16x8.shr_u(d, 4), mask)), out + 64,
  )
}

/** Of four vectors of four lanes. */
// @ts-ignore: decorator
@inline
function transpose(a: v128, b: v128, c: v128, d: v128, out: usize): void {
  const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5)
  const ef = v128.shuffle<i32>(a, b, 2, 6, 3, 7), gh = v128.shuffle<i32>(c, d, 2, 6, 3, 7)
  v128.store(out, v128.shuffle<i64>(ab, cd, 0, 2))
  v128.store(out, v128.shuffle<i64>(ab, cd, 1, 3), 16)
  v128.store(out, v128.shuffle<i64>(ef, gh, 0, 2), 32)
  v128.store(out, v128.shuffle<i64>(ef, gh, 1, 3), 48)
}

/** Unpacks four rows: 128 bytes a group to `out`, and their four scales to `outScales`. */
export function unpackNarrow(data: usize, dataRow: usize, scales: usize, scalesRow: usize, out: usize, outScales: usize): void {
  const table = v128.load(shiftedE2M1())
  for (let g: u32 = 0; g < groups; g++, data += 16, out += 128) unpackGroup(data, dataRow, table, out)
  for (let g: u32 = 0; g < groups; g += 4) {
    const there = firstLanes(groups - g)
    const at = scales + g
    transpose(
      v128.and(there, fromE8M0(loadBytes4(at))), v128.and(there, fromE8M0(loadBytes4(at + scalesRow))),
      v128.and(there, fromE8M0(loadBytes4(at + 2 * scalesRow))), v128.and(there, fromE8M0(loadBytes4(at + 3 * scalesRow))),
      outScales + (g << 4),
    )
  }
}

/** Sixteen elements of each row, of which two to four sums are added so that they fit int16. */
// @ts-ignore: decorator
@inline
function half(w: usize, x: usize, ones: v128): v128 {
  return dot(
    i16x8.add(
      i16x8.add(dotBytes(v128.load32_splat(x), v128.load(w)), dotBytes(v128.load32_splat(x, 4), v128.load(w, 16))),
      i16x8.add(dotBytes(v128.load32_splat(x, 8), v128.load(w, 32)), dotBytes(v128.load32_splat(x, 12), v128.load(w, 48))),
    ), ones,
  )
}

// @ts-ignore: decorator
@inline
function addGroup(w: usize, scales: v128, x: usize, xScale: usize, toSums: usize, ones: v128, sums: usize): void {
  const integers = i32x4.add(half(w, x, ones), half(w + 64, x + 16, ones))
  const scale = f32x4.mul(scales, v128.load32_splat(xScale))
  v128.store(sums, madd(f32x4.convert_i32x4_s(integers), scale, v128.load(sums)))
  v128.store(sums, madd(scales, v128.load32_splat(xScale + toSums), v128.load(sums, 64)), 64)
}

// @ts-ignore: decorator
@inline
function lanesOf(sums: usize): v128 {
  const a = f32x4.add(v128.load(sums), v128.load(sums, 64)), b = f32x4.add(v128.load(sums, 16), v128.load(sums, 80))
  const c = f32x4.add(v128.load(sums, 32), v128.load(sums, 96)), d = f32x4.add(v128.load(sums, 48), v128.load(sums, 112))
  return f32x4.add(f32x4.add(a, b), f32x4.add(c, d))
}

/**
 * Four unpacked rows of weights times two of activations; from their scales to their sums it is `toSums` bytes. The products with
 * the first lie at `room` then, in the order of the rows, and those with the second 128 bytes further.
 */
export function narrow4x2(w: usize, scales: usize, x: usize, y: usize, xScales: usize, yScales: usize, toSums: usize, room: usize): void {
  const ones = i16x8.splat(1)
  memory.fill(room, 0, 2 * SUMS)
  for (let g: u32 = 0; g < groups; g++, w += 128, x += 32, y += 32, scales += 16, xScales += 4, yScales += 4) {
    const four = v128.load(scales)
    const sums = room + ((g & 3) << 4)
    addGroup(w, four, x, xScales, toSums, ones, sums)
    addGroup(w, four, y, yScales, toSums, ones, sums + SUMS)
  }
  v128.store(room, lanesOf(room))
  v128.store(room, lanesOf(room + SUMS), SUMS)
}

/** As `narrow4x2`, with one row of activations. */
export function narrow4x1(w: usize, scales: usize, x: usize, xScales: usize, toSums: usize, room: usize): void {
  const ones = i16x8.splat(1)
  memory.fill(room, 0, SUMS)
  for (let g: u32 = 0; g < groups; g++, w += 128, x += 32, scales += 16, xScales += 4) {
    addGroup(w, v128.load(scales), x, xScales, toSums, ones, room + ((g & 3) << 4))
  }
  v128.store(room, lanesOf(room))
}
