import { FUSED } from "./fused"
import { group, groups, stride } from "./quantize"
import { addDotBytes, dot, firstLanes, lookup16, madd, sum, sum4, sums32, together } from "./simd"
import { AFFINE, loadFloats, loadScales, repeated, shiftedE2M1, unpackBits, Weight } from "./weight"

// Rows of weights that are unpacked once, to multiply them with many rows of activations of 16 bits: see packed_dot.ts. Both are int16,
// or, where sums are fused, weights are bytes and activations planes of bytes.

/** Bytes of an unpacked weight. */
export const SIZE: u32 = FUSED ? 1 : 2

/** One row's weights, in the order of the activations. */
export function unpackRow(w: Weight, data: usize, out: usize): void {
  const K = w.K
  if (w.bits != 8 && w.bits != 4) {
    if (FUSED) unpackBits<u8>(w, data, out)
    else unpackBits<u16>(w, data, out)
    return
  }
  if (w.bits == 8) {
    if (FUSED) {
      memory.copy(out, data, K)
      return
    }
    for (let k: u32 = 0; k < K; k += 16) {
      v128.store(out + (k << 1), v128.load8x8_u(data + k))
      v128.store(out + (k << 1), v128.load8x8_u(data + k, 8), 16)
    }
    return
  }
  const e2m1 = w.mode != AFFINE
  const table = v128.load(shiftedE2M1())
  for (let k: u32 = 0; k < K; k += 32) {
    const packed = v128.load(data + (k >> 1))
    let even = v128.and(packed, i8x16.splat(15))
    let odd = v128.and(i16x8.shr_u(packed, 4), i8x16.splat(15))
    if (e2m1) {
      even = lookup16(table, even)
      odd = lookup16(table, odd)
    }
    if (FUSED) {
      v128.store(out + k, even)
      v128.store(out + k, odd, 16)
      continue
    }
    const to = out + (k << 1)
    v128.store(to, v128.and(even, i16x8.splat(255)))
    v128.store(to, i16x8.shr_u(even, 8), 16)
    v128.store(to, v128.and(odd, i16x8.splat(255)), 32)
    v128.store(to, i16x8.shr_u(odd, 8), 48)
  }
}

/** Writes a row's scales, one per activation group, padded with zeros to whole vectors. */
export function loadRowScales(w: Weight, scales: usize, out: usize): void {
  const repeat = w.group / group
  for (let g: u32 = 0; g < groups; g += 4) {
    v128.store(out + (g << 2), v128.and(repeated(loadScales(w, scales, g / repeat), repeat), firstLanes(groups - g)))
  }
}

/** As `loadRowScales`, for the biases of an affine weight. */
export function loadRowBiases(w: Weight, biases: usize, out: usize): void {
  const repeat = w.group / group
  for (let g: u32 = 0; g < groups; g += 4) {
    const four = loadFloats(biases, w.biasesFloats, g / repeat)
    v128.store(out + (g << 2), v128.and(repeated(four, repeat), firstLanes(groups - g)))
  }
}

/** 32 products, in lanes. */
// @ts-ignore: decorator
@inline
function dotWide(w: usize, x: usize): v128 {
  if (FUSED) {
    const a = v128.load(w), b = v128.load(w, 16)
    const high = addDotBytes(v128.load(x, 32), b, addDotBytes(v128.load(x), a, i32x4.splat(0)))
    return together(high, addDotBytes(v128.load(x, 48), b, addDotBytes(v128.load(x, 16), a, i32x4.splat(0))))
  }
  return i32x4.add(
    i32x4.add(dot(v128.load(w), v128.load(x)), dot(v128.load(w, 16), v128.load(x, 16))),
    i32x4.add(dot(v128.load(w, 32), v128.load(x, 32)), dot(v128.load(w, 48), v128.load(x, 48))),
  )
}

/** The sums of a row's products, in lanes, with what the zero points of affine weights add. */
// @ts-ignore: decorator
@inline
function withZeroPoints(total: v128, biases: usize, sums: usize): v128 {
  if (biases == 0) return total
  let zero = f32x4.splat(0)
  for (let at: usize = 0; at < groups << 2; at += 16) zero = madd(v128.load(biases + at), v128.load(sums + at), zero)
  return f32x4.add(total, zero)
}

/** Adds four groups' products, in lanes, times their scales; `offsets`: what E2M1's offset adds to them, or 0. */
// @ts-ignore: decorator
@inline
function addScaled(room: usize, scales: usize, xScales: usize, offsets: usize, total: v128): v128 {
  let sums = sums32(v128.load(room), v128.load(room, 16), v128.load(room, 32), v128.load(room, 48))
  if (offsets != 0) sums = i32x4.add(sums, v128.load(offsets))
  return madd(f32x4.convert_i32x4_s(sums), f32x4.mul(v128.load(scales), v128.load(xScales)), total)
}

/**
 * One row of weights times one of activations.
 *
 * @param biases of affine weights, else 0
 */
export function unpacked1x1(
  w: usize, scales: usize, biases: usize, x: usize, xScales: usize, toSums: usize, room: usize
): f32 {
  const pair = group == 64
  const step: usize = SIZE << (pair ? 6 : 5), xStep: usize = 2 << (pair ? 6 : 5)
  let total = f32x4.splat(0)
  for (let g: u32 = 0; g < groups; g += 4) {
    const at = g << 2
    let to = room
    for (const end = room + (min(4, groups - g) << 4); to < end; to += 16) {
      let d = dotWide(w, x)
      if (pair) d = i32x4.add(d, dotWide(w + (SIZE << 5), x + 64))
      v128.store(to, d)
      w += step
      x += xStep
    }
    for (const end = room + 64; to < end; to += 16) v128.store(to, i32x4.splat(0))
    total = addScaled(room, scales + at, xScales + at, biases == 0 ? xScales + toSums + at : 0, total)
  }
  return sum(withZeroPoints(total, biases, xScales + toSums))
}

/**
 * Two rows of weights times two of activations: [w0 x0, w1 x0, w0 x1, w1 x1]. The rows of weights lie `wRow` bytes apart,
 * of scales and biases `stride`; from scales of activations to their sums it is `toSums` bytes.
 *
 * @param biases of affine weights, else 0
 * @param room for the sums of four groups of each product
 */
export function wide2x2(
  w: usize, wRow: usize, scales: usize, biases: usize, x0: usize, x1: usize, s0: usize, s1: usize, toSums: usize, room: usize
): v128 {
  let r00 = f32x4.splat(0), r10 = f32x4.splat(0), r01 = f32x4.splat(0), r11 = f32x4.splat(0)
  const last = room + 64
  for (let g: u32 = 0; g < groups; g += 4) {
    const at = g << 2
    let to = room
    for (const end = room + (min(4, groups - g) << 4); to < end; to += 16) {
      if (FUSED) planes2x2(w, wRow, x0, x1, to)
      else int16s2x2(w, wRow, x0, x1, to)
      w += SIZE * group, x0 += group << 1, x1 += group << 1
    }
    for (; to < last; to += 16) {
      for (let pair: usize = 0; pair < 256; pair += 64) v128.store(to + pair, i32x4.splat(0))
    }
    const o0 = biases == 0 ? s0 + toSums + at : 0, o1 = biases == 0 ? s1 + toSums + at : 0
    r00 = addScaled(room, scales + at, s0 + at, o0, r00)
    r10 = addScaled(room + 64, scales + stride + at, s0 + at, o0, r10)
    r01 = addScaled(room + 128, scales + at, s1 + at, o1, r01)
    r11 = addScaled(room + 192, scales + stride + at, s1 + at, o1, r11)
  }
  const second: usize = biases == 0 ? 0 : biases + stride
  return sum4(
    withZeroPoints(r00, biases, s0 + toSums), withZeroPoints(r10, second, s0 + toSums),
    withZeroPoints(r01, biases, s1 + toSums), withZeroPoints(r11, second, s1 + toSums),
  )
}

/** A group's products, in lanes, 64 bytes from each other. */
// @ts-ignore: decorator
@inline
function int16s2x2(w: usize, wRow: usize, x0: usize, x1: usize, to: usize): void {
  let i00 = i32x4.splat(0), i10 = i32x4.splat(0), i01 = i32x4.splat(0), i11 = i32x4.splat(0)
  for (const end = w + (group << 1); w < end; w += 32, x0 += 32, x1 += 32) {
    let a = v128.load(w), b = v128.load(w + wRow), x = v128.load(x0), y = v128.load(x1)
    i00 = i32x4.add(i00, dot(a, x))
    i10 = i32x4.add(i10, dot(b, x))
    i01 = i32x4.add(i01, dot(a, y))
    i11 = i32x4.add(i11, dot(b, y))
    a = v128.load(w, 16), b = v128.load(w + wRow, 16), x = v128.load(x0, 16), y = v128.load(x1, 16)
    i00 = i32x4.add(i00, dot(a, x))
    i10 = i32x4.add(i10, dot(b, x))
    i01 = i32x4.add(i01, dot(a, y))
    i11 = i32x4.add(i11, dot(b, y))
  }
  v128.store(to, i00)
  v128.store(to, i10, 64)
  v128.store(to, i01, 128)
  v128.store(to, i11, 192)
}

/** As `int16s2x2`, of bytes and planes. */
// @ts-ignore: decorator
@inline
function planes2x2(w: usize, wRow: usize, x0: usize, x1: usize, to: usize): void {
  let h00 = i32x4.splat(0), h10 = i32x4.splat(0), h01 = i32x4.splat(0), h11 = i32x4.splat(0)
  let l00 = i32x4.splat(0), l10 = i32x4.splat(0), l01 = i32x4.splat(0), l11 = i32x4.splat(0)
  // Groups are whole pairs of sixteen elements.
  for (const end = w + group; w < end; w += 32, x0 += 64, x1 += 64) {
    let a = v128.load(w), b = v128.load(w + wRow), x = v128.load(x0), y = v128.load(x1)
    h00 = addDotBytes(x, a, h00)
    h10 = addDotBytes(x, b, h10)
    h01 = addDotBytes(y, a, h01)
    h11 = addDotBytes(y, b, h11)
    x = v128.load(x0, 16), y = v128.load(x1, 16)
    l00 = addDotBytes(x, a, l00)
    l10 = addDotBytes(x, b, l10)
    l01 = addDotBytes(y, a, l01)
    l11 = addDotBytes(y, b, l11)
    a = v128.load(w, 16), b = v128.load(w + wRow, 16), x = v128.load(x0, 32), y = v128.load(x1, 32)
    h00 = addDotBytes(x, a, h00)
    h10 = addDotBytes(x, b, h10)
    h01 = addDotBytes(y, a, h01)
    h11 = addDotBytes(y, b, h11)
    x = v128.load(x0, 48), y = v128.load(x1, 48)
    l00 = addDotBytes(x, a, l00)
    l10 = addDotBytes(x, b, l10)
    l01 = addDotBytes(y, a, l01)
    l11 = addDotBytes(y, b, l11)
  }
  v128.store(to, together(h00, l00))
  v128.store(to, together(h10, l10), 64)
  v128.store(to, together(h01, l01), 128)
  v128.store(to, together(h11, l11), 192)
}
