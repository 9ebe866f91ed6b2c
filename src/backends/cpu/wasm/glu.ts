import { share } from "./share"
import { madd, sigmoid } from "./simd"

/** g * sigmoid(alpha * g + cubic * g^3) * (u + offset), g = min(gate, limit), |u| <= limit: ir/activation.ts. */
// @ts-ignore: decorator
@inline
function glu4(gate: v128, up: v128, alpha: f32, cubic: f32, limit: f32, offset: f32): v128 {
  const g = f32x4.min(gate, f32x4.splat(limit))
  const u = f32x4.max(f32x4.min(up, f32x4.splat(limit)), f32x4.splat(-limit))
  // Squares stay finite, as 0 * infinity is NaN; out here every sigmoid with a cubic term is 0 or 1.
  const t = f32x4.pmax(f32x4.pmin(g, f32x4.splat(1e12)), f32x4.splat(-1e12))
  const z = f32x4.mul(g, madd(f32x4.mul(t, t), f32x4.splat(cubic), f32x4.splat(alpha)))
  return f32x4.mul(f32x4.mul(g, sigmoid(z)), f32x4.add(u, f32x4.splat(offset)))
}

/** `count` elements; reads no further than them. */
export function gluInto(
  out: usize, gate: usize, up: usize, count: u32, alpha: f32, cubic: f32, limit: f32, offset: f32
): void {
  const whole = count & ~3
  for (let i: u32 = 0; i < whole; i += 4) {
    const four = glu4(v128.load(gate + (i << 2)), v128.load(up + (i << 2)), alpha, cubic, limit, offset)
    v128.store(out + (i << 2), four)
  }
  for (let i = whole; i < count; i++) {
    const g = v128.load32_splat(gate + (i << 2))
    const u = v128.load32_splat(up + (i << 2))
    store<f32>(out + (i << 2), f32x4.extract_lane(glu4(g, u, alpha, cubic, limit, offset), 0))
  }
}

export function glu(
  gate: usize, up: usize, n: u32, alpha: f32, cubic: f32, limit: f32, offset: f32, out: usize, part: u32, parts: u32
): void {
  const from = share(n, 4, part, parts)
  const count = share(n, 4, part + 1, parts) - from
  gluInto(out + (from << 2), gate + (from << 2), up + (from << 2), count, alpha, cubic, limit, offset)
}
