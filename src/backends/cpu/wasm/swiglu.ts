import { share } from "./share"
import { sigmoid } from "./simd"

/** Clamped SwiGLU (openai/gpt-oss, model.py): gate * sigmoid(alpha * gate) * (up + 1), gate <= limit, |up| <= limit. */
// @ts-ignore: decorator
@inline
function swiglu4(gate: v128, up: v128, alpha: f32, limit: f32): v128 {
  const g = f32x4.min(gate, f32x4.splat(limit))
  const u = f32x4.max(f32x4.min(up, f32x4.splat(limit)), f32x4.splat(-limit))
  return f32x4.mul(f32x4.mul(g, sigmoid(f32x4.mul(g, f32x4.splat(alpha)))), f32x4.add(u, f32x4.splat(1)))
}

/** `count` elements; reads no further than them. */
export function swigluInto(out: usize, gate: usize, up: usize, count: u32, alpha: f32, limit: f32): void {
  const whole = count & ~3
  for (let i: u32 = 0; i < whole; i += 4) {
    v128.store(out + (i << 2), swiglu4(v128.load(gate + (i << 2)), v128.load(up + (i << 2)), alpha, limit))
  }
  for (let i = whole; i < count; i++) {
    const one = swiglu4(v128.load32_splat(gate + (i << 2)), v128.load32_splat(up + (i << 2)), alpha, limit)
    store<f32>(out + (i << 2), f32x4.extract_lane(one, 0))
  }
}

export function swiglu(
  gate: usize, up: usize, n: u32, alpha: f32, limit: f32, out: usize, part: u32, parts: u32
): void {
  const from = share(n, 4, part, parts)
  const count = share(n, 4, part + 1, parts) - from
  swigluInto(out + (from << 2), gate + (from << 2), up + (from << 2), count, alpha, limit)
}
