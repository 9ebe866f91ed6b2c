/**
 * Rotates D elements in place by the orthonormal Walsh-Hadamard transform, in blocks of the largest power of two that divides D, a
 * multiple of 8: bit for bit as `hadamard` in tensor/kv_format.ts.
 */
export function hadamard(x: usize, D: u32): void {
  const block = D & -D
  const end = x + (D << 2)
  for (let at = x; at < end; at += 16) {
    let v = v128.load(at)
    v = f32x4.add(v128.shuffle<f32>(v, v, 1, 0, 3, 2), v128.xor(v, i32x4(0, i32.MIN_VALUE, 0, i32.MIN_VALUE)))
    v = f32x4.add(v128.shuffle<f32>(v, v, 2, 3, 0, 1), v128.xor(v, i32x4(0, 0, i32.MIN_VALUE, i32.MIN_VALUE)))
    v128.store(at, v)
  }
  for (let half: u32 = 16; half < block << 2; half <<= 1) {
    for (let low = x; low < end; low += half) {
      for (const middle = low + half; low < middle; low += 16) {
        const a = v128.load(low)
        const b = v128.load(low + half)
        v128.store(low, f32x4.add(a, b))
        v128.store(low + half, f32x4.sub(a, b))
      }
    }
  }
  const norm = f64x2.splat(1 / sqrt<f64>(<f64>block))
  for (let at = x; at < end; at += 16) {
    const v = v128.load(at)
    const low = f64x2.mul(f64x2.promote_low_f32x4(v), norm)
    const high = f64x2.mul(f64x2.promote_low_f32x4(v128.shuffle<i64>(v, v, 1, 0)), norm)
    v128.store(at, v128.shuffle<i64>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 2))
  }
}
