import { madd, sum, sum4 } from "./simd"

/** Four float rows, `stride` bytes apart, times one: each output adds its products in the same order as `dotFloats`. */
export function floats4x1(w: usize, stride: usize, x: usize, K: u32): v128 {
  let r0 = f32x4.splat(0), r1 = f32x4.splat(0), r2 = f32x4.splat(0), r3 = f32x4.splat(0)
  let w1 = w + stride, w2 = w1 + stride, w3 = w2 + stride
  const end = x + ((K & ~3) << 2)
  for (; x < end; x += 16) {
    const a = v128.load(x)
    r0 = madd(v128.load(w), a, r0)
    r1 = madd(v128.load(w1), a, r1)
    r2 = madd(v128.load(w2), a, r2)
    r3 = madd(v128.load(w3), a, r3)
    w += 16, w1 += 16, w2 += 16, w3 += 16
  }
  let r = sum4(r0, r1, r2, r3)
  for (let k = K & 3; k > 0; k--, x += 4, w += 4, w1 += 4, w2 += 4, w3 += 4) {
    const column = f32x4(load<f32>(w), load<f32>(w1), load<f32>(w2), load<f32>(w3))
    r = madd(column, v128.load32_splat(x), r)
  }
  return r
}

/** As `floats4x1` for rows of bfloat16, which need no decoding to memory: the same bits. */
export function bfloat16s4x1(w: usize, stride: usize, x: usize, K: u32): v128 {
  let r0 = f32x4.splat(0), r1 = f32x4.splat(0), r2 = f32x4.splat(0), r3 = f32x4.splat(0)
  let w1 = w + stride, w2 = w1 + stride, w3 = w2 + stride
  const end = x + ((K & ~3) << 2)
  for (; x < end; x += 16) {
    const a = v128.load(x)
    r0 = madd(i32x4.shl(v128.load16x4_u(w), 16), a, r0)
    r1 = madd(i32x4.shl(v128.load16x4_u(w1), 16), a, r1)
    r2 = madd(i32x4.shl(v128.load16x4_u(w2), 16), a, r2)
    r3 = madd(i32x4.shl(v128.load16x4_u(w3), 16), a, r3)
    w += 8, w1 += 8, w2 += 8, w3 += 8
  }
  let r = sum4(r0, r1, r2, r3)
  for (let k = K & 3; k > 0; k--, x += 4, w += 2, w1 += 2, w2 += 2, w3 += 2) {
    const column = i32x4.shl(i32x4(load<u16>(w), load<u16>(w1), load<u16>(w2), load<u16>(w3)), 16)
    r = madd(column, v128.load32_splat(x), r)
  }
  return r
}

/** The dot product of two float rows. */
export function dotFloats(w: usize, x: usize, K: u32): f32 {
  let r = f32x4.splat(0)
  const end = x + ((K & ~3) << 2)
  for (; x < end; x += 16, w += 16) r = madd(v128.load(w), v128.load(x), r)
  let total = f32x4.splat(sum(r))
  for (let k = K & 3; k > 0; k--, x += 4, w += 4) total = madd(v128.load32_splat(w), v128.load32_splat(x), total)
  return f32x4.extract_lane(total, 0)
}
