import { e2m1Doubled, loadFloats, loadScales, Weight, AFFINE } from "./weight"
import { E2M1_OFFSET } from "./quantize"
import { firstLanes, lookup16, madd, sum, sum4 } from "./simd"

/**
 * Products of quantized activations (see quantize.ts) with weights that are small integers times a scale per group.
 * Every path adds `float(integer dot of a group) * (weight scale * activation scale)` to the same four lanes in the same
 * order, so an output has the same bits whichever path computed it. Sums stay below 2^31: a lane gets 16 products of
 * 2^15 * 2^8 at most.
 */

// @ts-ignore: decorator
@inline
function dot(a: v128, b: v128): v128 {
  return i32x4.dot_i16x8_s(a, b)
}

/** 32 bytes of unsigned weights times the activations in x0..x3. */
// @ts-ignore: decorator
@inline
function dotBytes(w: usize, x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  return i32x4.add(
    i32x4.add(dot(v128.load8x8_u(w), x0), dot(v128.load8x8_u(w, 8), x1)),
    i32x4.add(dot(v128.load8x8_u(w, 16), x2), dot(v128.load8x8_u(w, 24), x3)),
  )
}

/** 32 E2M1 codes times activations ordered BY_NIBBLES. `offset` takes back what made the codes unsigned. */
// @ts-ignore: decorator
@inline
function dotE2M1(w: usize, table: v128, offset: v128, x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  const packed = v128.load(w)
  const a = lookup16(table, v128.and(packed, i8x16.splat(15)))
  const b = lookup16(table, v128.and(i16x8.shr_u(packed, 4), i8x16.splat(15)))
  return i32x4.add(
    i32x4.add(i32x4.add(offset, dot(v128.and(a, i16x8.splat(255)), x0)), dot(i16x8.shr_u(a, 8), x1)),
    i32x4.add(dot(v128.and(b, i16x8.splat(255)), x2), dot(i16x8.shr_u(b, 8), x3)),
  )
}

/** 32 unsigned nibbles times activations ordered BY_NIBBLES. */
// @ts-ignore: decorator
@inline
function dotNibbles(w: usize, x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  const packed = v128.load(w)
  const mask = i16x8.splat(15)
  return i32x4.add(
    i32x4.add(dot(v128.and(packed, mask), x0), dot(v128.and(i16x8.shr_u(packed, 8), mask), x1)),
    i32x4.add(dot(v128.and(i16x8.shr_u(packed, 4), mask), x2), dot(i16x8.shr_u(packed, 12), x3)),
  )
}

/** acc + float(dot) * scale */
// @ts-ignore: decorator
@inline
function scaled(integers: v128, scale: usize, acc: v128): v128 {
  return madd(f32x4.convert_i32x4_s(integers), v128.load32_splat(scale), acc)
}

/**
 * Four rows of 8-bit weights, `stride` bytes apart, times one activation row. `scales`: four rows of `groups` products
 * of scales, `scalesStride` bytes apart.
 */
export function bytes4x1(
  w: usize, stride: usize, x: usize, scales: usize, scalesStride: usize, groups: u32, group: u32
): v128 {
  let r0 = f32x4.splat(0), r1 = f32x4.splat(0), r2 = f32x4.splat(0), r3 = f32x4.splat(0)
  let w1 = w + stride, w2 = w1 + stride, w3 = w2 + stride
  const end = scales + (groups << 2)
  for (let s = scales; s < end; s += 4) {
    let x0 = v128.load(x), x1 = v128.load(x, 16), x2 = v128.load(x, 32), x3 = v128.load(x, 48)
    let i0 = dotBytes(w, x0, x1, x2, x3)
    let i1 = dotBytes(w1, x0, x1, x2, x3)
    let i2 = dotBytes(w2, x0, x1, x2, x3)
    let i3 = dotBytes(w3, x0, x1, x2, x3)
    if (group == 64) {
      x0 = v128.load(x, 64), x1 = v128.load(x, 80), x2 = v128.load(x, 96), x3 = v128.load(x, 112)
      i0 = i32x4.add(i0, dotBytes(w + 32, x0, x1, x2, x3))
      i1 = i32x4.add(i1, dotBytes(w1 + 32, x0, x1, x2, x3))
      i2 = i32x4.add(i2, dotBytes(w2 + 32, x0, x1, x2, x3))
      i3 = i32x4.add(i3, dotBytes(w3 + 32, x0, x1, x2, x3))
    }
    r0 = scaled(i0, s, r0)
    r1 = scaled(i1, s + scalesStride, r1)
    r2 = scaled(i2, s + 2 * scalesStride, r2)
    r3 = scaled(i3, s + 3 * scalesStride, r3)
    w += group, w1 += group, w2 += group, w3 += group
    x += group << 1
  }
  return sum4(r0, r1, r2, r3)
}

/** As `bytes4x1`, for E2M1 codes in groups of 32. `offsets`: see quantize.ts. */
export function e2m1s4x1(
  w: usize, stride: usize, x: usize, offsets: usize, scales: usize, scalesStride: usize, groups: u32
): v128 {
  const table = i8x16.add(e2m1Doubled(), i8x16.splat(<i8>E2M1_OFFSET))
  let r0 = f32x4.splat(0), r1 = f32x4.splat(0), r2 = f32x4.splat(0), r3 = f32x4.splat(0)
  let w1 = w + stride, w2 = w1 + stride, w3 = w2 + stride
  const end = scales + (groups << 2)
  for (let s = scales; s < end; s += 4) {
    const x0 = v128.load(x), x1 = v128.load(x, 16), x2 = v128.load(x, 32), x3 = v128.load(x, 48)
    const offset = v128.load(offsets)
    r0 = scaled(dotE2M1(w, table, offset, x0, x1, x2, x3), s, r0)
    r1 = scaled(dotE2M1(w1, table, offset, x0, x1, x2, x3), s + scalesStride, r1)
    r2 = scaled(dotE2M1(w2, table, offset, x0, x1, x2, x3), s + 2 * scalesStride, r2)
    r3 = scaled(dotE2M1(w3, table, offset, x0, x1, x2, x3), s + 3 * scalesStride, r3)
    w += 16, w1 += 16, w2 += 16, w3 += 16
    x += 64
    offsets += 16
  }
  return sum4(r0, r1, r2, r3)
}

/** As `bytes4x1`, for unsigned nibbles. */
export function nibbles4x1(
  w: usize, stride: usize, x: usize, scales: usize, scalesStride: usize, groups: u32, group: u32
): v128 {
  let r0 = f32x4.splat(0), r1 = f32x4.splat(0), r2 = f32x4.splat(0), r3 = f32x4.splat(0)
  let w1 = w + stride, w2 = w1 + stride, w3 = w2 + stride
  const end = scales + (groups << 2)
  for (let s = scales; s < end; s += 4) {
    let x0 = v128.load(x), x1 = v128.load(x, 16), x2 = v128.load(x, 32), x3 = v128.load(x, 48)
    let i0 = dotNibbles(w, x0, x1, x2, x3)
    let i1 = dotNibbles(w1, x0, x1, x2, x3)
    let i2 = dotNibbles(w2, x0, x1, x2, x3)
    let i3 = dotNibbles(w3, x0, x1, x2, x3)
    if (group == 64) {
      x0 = v128.load(x, 64), x1 = v128.load(x, 80), x2 = v128.load(x, 96), x3 = v128.load(x, 112)
      i0 = i32x4.add(i0, dotNibbles(w + 16, x0, x1, x2, x3))
      i1 = i32x4.add(i1, dotNibbles(w1 + 16, x0, x1, x2, x3))
      i2 = i32x4.add(i2, dotNibbles(w2 + 16, x0, x1, x2, x3))
      i3 = i32x4.add(i3, dotNibbles(w3 + 16, x0, x1, x2, x3))
    }
    r0 = scaled(i0, s, r0)
    r1 = scaled(i1, s + scalesStride, r1)
    r2 = scaled(i2, s + 2 * scalesStride, r2)
    r3 = scaled(i3, s + 3 * scalesStride, r3)
    const step = group >> 1
    w += step, w1 += step, w2 += step, w3 += step
    x += group << 1
  }
  return sum4(r0, r1, r2, r3)
}

/** One row's weights as int16, in the order of the activations. */
export function unpackRow(w: Weight, data: usize, out: usize): void {
  const K = w.K
  if (w.bits == 8) {
    for (let k: u32 = 0; k < K; k += 16) {
      v128.store(out + (k << 1), v128.load8x8_u(data + k))
      v128.store(out + (k << 1), v128.load8x8_u(data + k, 8), 16)
    }
    return
  }
  const e2m1 = w.mode != AFFINE
  const table = e2m1Doubled()
  for (let k: u32 = 0; k < K; k += 32) {
    const packed = v128.load(data + (k >> 1))
    let even = v128.and(packed, i8x16.splat(15))
    let odd = v128.and(i16x8.shr_u(packed, 4), i8x16.splat(15))
    if (e2m1) {
      even = lookup16(table, even)
      odd = lookup16(table, odd)
    }
    const to = out + (k << 1)
    v128.store(to, i16x8.shr_s(i16x8.shl(even, 8), 8))
    v128.store(to, i16x8.shr_s(even, 8), 16)
    v128.store(to, i16x8.shr_s(i16x8.shl(odd, 8), 8), 32)
    v128.store(to, i16x8.shr_s(odd, 8), 48)
  }
}

/** 32 products of int16. */
// @ts-ignore: decorator
@inline
function dot32(w: usize, x: usize): v128 {
  return i32x4.add(
    i32x4.add(dot(v128.load(w), v128.load(x)), dot(v128.load(w, 16), v128.load(x, 16))),
    i32x4.add(dot(v128.load(w, 32), v128.load(x, 32)), dot(v128.load(w, 48), v128.load(x, 48))),
  )
}

// @ts-ignore: decorator
@inline
function dotGroup(w: usize, x: usize, group: u32): v128 {
  let integers = dot32(w, x)
  if (group == 64) integers = i32x4.add(integers, dot32(w + 64, x + 64))
  return integers
}

/** Two unpacked weight rows times two activation rows: [w0 x0, w1 x0, w0 x1, w1 x1]. */
export function unpacked2x2(
  w0: usize, w1: usize, ws0: usize, ws1: usize, x0: usize, x1: usize, xs0: usize, xs1: usize, groups: u32, group: u32
): v128 {
  let r00 = f32x4.splat(0), r10 = f32x4.splat(0), r01 = f32x4.splat(0), r11 = f32x4.splat(0)
  const bytes = group << 1
  const chunks = bytes >> 5
  for (let g: u32 = 0; g < groups; g++) {
    let i00 = i32x4.splat(0), i10 = i32x4.splat(0), i01 = i32x4.splat(0), i11 = i32x4.splat(0)
    for (let c: u32 = 0; c < chunks; c++) {
      let a = v128.load(w0), b = v128.load(w1), x = v128.load(x0), y = v128.load(x1)
      i00 = i32x4.add(i00, dot(a, x))
      i10 = i32x4.add(i10, dot(b, x))
      i01 = i32x4.add(i01, dot(a, y))
      i11 = i32x4.add(i11, dot(b, y))
      a = v128.load(w0, 16), b = v128.load(w1, 16), x = v128.load(x0, 16), y = v128.load(x1, 16)
      i00 = i32x4.add(i00, dot(a, x))
      i10 = i32x4.add(i10, dot(b, x))
      i01 = i32x4.add(i01, dot(a, y))
      i11 = i32x4.add(i11, dot(b, y))
      w0 += 32, w1 += 32, x0 += 32, x1 += 32
    }
    const s0 = v128.load32_splat(ws0), s1 = v128.load32_splat(ws1)
    const t0 = v128.load32_splat(xs0), t1 = v128.load32_splat(xs1)
    r00 = madd(f32x4.convert_i32x4_s(i00), f32x4.mul(s0, t0), r00)
    r10 = madd(f32x4.convert_i32x4_s(i10), f32x4.mul(s1, t0), r10)
    r01 = madd(f32x4.convert_i32x4_s(i01), f32x4.mul(s0, t1), r01)
    r11 = madd(f32x4.convert_i32x4_s(i11), f32x4.mul(s1, t1), r11)
    ws0 += 4, ws1 += 4, xs0 += 4, xs1 += 4
  }
  return sum4(r00, r10, r01, r11)
}

/** One unpacked weight row times one activation row. */
export function unpacked1x1(w: usize, ws: usize, x: usize, xs: usize, groups: u32, group: u32): f32 {
  let r = f32x4.splat(0)
  for (let g: u32 = 0; g < groups; g++) {
    const scale = f32x4.mul(v128.load32_splat(ws + (g << 2)), v128.load32_splat(xs + (g << 2)))
    r = madd(f32x4.convert_i32x4_s(dotGroup(w, x, group)), scale, r)
    w += group << 1
    x += group << 1
  }
  return sum(r)
}

/** Writes a row's scales, one per activation group, padded with zeros to whole vectors. */
export function loadRowScales(w: Weight, scales: usize, group: u32, groups: u32, out: usize): void {
  const repeat = w.group / group
  if (repeat == 1) {
    for (let g: u32 = 0; g < groups; g += 4) {
      v128.store(out + (g << 2), v128.and(loadScales(w, scales, g), firstLanes(groups - g)))
    }
  } else {
    for (let g: u32 = 0; g < groups; g++) store<f32>(out + (g << 2), f32x4.extract_lane(loadScales(w, scales, g / repeat), 0))
    v128.store(out + (groups << 2), f32x4.splat(0))
  }
}

/** As `loadRowScales`, for the biases of an affine weight. */
export function loadRowBiases(w: Weight, biases: usize, group: u32, groups: u32, out: usize): void {
  const repeat = w.group / group
  if (repeat == 1) {
    for (let g: u32 = 0; g < groups; g += 4) {
      v128.store(out + (g << 2), v128.and(loadFloats(biases, w.biasesFloats, g), firstLanes(groups - g)))
    }
  } else {
    for (let g: u32 = 0; g < groups; g++) {
      store<f32>(out + (g << 2), f32x4.extract_lane(loadFloats(biases, w.biasesFloats, g / repeat), 0))
    }
    v128.store(out + (groups << 2), f32x4.splat(0))
  }
}

/** Products of padded rows of floats. */
export function multiplyRows(a: usize, b: usize, groups: u32, out: usize): void {
  for (let at: usize = 0; at < groups << 2; at += 16) {
    v128.store(out + at, f32x4.mul(v128.load(a + at), v128.load(b + at)))
  }
}

/** The dot product of padded rows of floats. */
export function dotRows(a: usize, b: usize, groups: u32): f32 {
  let r = f32x4.splat(0)
  for (let at: usize = 0; at < groups << 2; at += 16) r = madd(v128.load(a + at), v128.load(b + at), r)
  return sum(r)
}
