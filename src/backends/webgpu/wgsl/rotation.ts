import type { Declaration } from "./declaration.js"

/**
 * WGSL for `rotation(position, frequency)`: cosine and sine of their product in radians, for frequencies from 0 to 2^24.
 *
 * WGSL's own `cos` promises an absolute error of 2^-11 within [-pi, pi] and nothing beyond, and a float32 angle of a late
 * position has lost its fraction. So turns are counted in integers: the frequency times 1 / (2 pi) in 64 fractional bits,
 * times the position, modulo one turn. Polynomials then cover an eighth of a turn to either side.
 */
export const ROTATION: Declaration = {
  text: /* wgsl */ `
fn multiply_wide(a: u32, b: u32) -> vec2u {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let mid = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let mid2 = (a & 0xffffu) * (b >> 16u) + (mid & 0xffffu);
  return vec2u((mid2 << 16u) | (low & 0xffffu), (a >> 16u) * (b >> 16u) + (mid >> 16u) + (mid2 >> 16u));
}

fn rotation(position: u32, frequency: f32) -> vec2f {
  let bits = bitcast<u32>(frequency);
  let mantissa = (bits & 0x7fffffu) | 0x800000u;
  let low = multiply_wide(mantissa, 0x9391054au);
  let high = multiply_wide(mantissa, 0x28be60dbu);
  let middle = low.y + high.x;
  var words = array<u32, 8>(low.x, middle, high.y + select(0u, 1u, middle < low.y), 0u, 0u, 0u, 0u, 0u);
  let shift = 150u - ((bits >> 23u) & 255u);
  let k = shift >> 5u;
  let up = 31u - (shift & 31u);
  let first = (words[k] >> (shift & 31u)) | ((words[k + 1u] << 1u) << up);
  let second = (words[k + 1u] >> (shift & 31u)) | ((words[k + 2u] << 1u) << up);
  let turns = position * second + multiply_wide(position, first).y;
  let quarter = (turns + 0x20000000u) >> 30u;
  let a = f32(bitcast<i32>(turns - (quarter << 30u))) * 1.4629180792671596e-9;
  let aa = a * a;
  let s = a + a * aa * (-0.16666667 + aa * (8.3333333e-3 + aa * (-1.9841270e-4 + aa * 2.7557319e-6)));
  let c = 1.0 + aa * (-0.5 + aa * (4.1666667e-2 + aa * (-1.3888889e-3 + aa * 2.4801587e-5)));
  let turned = select(vec2f(c, s), vec2f(-s, c), (quarter & 1u) == 1u);
  return select(turned, -turned, quarter >= 2u);
}`,
}
