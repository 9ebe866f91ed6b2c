import type { Declaration } from "../declaration.js"

/**
 * WGSL `e2m1(q)`: of the four codes in the low half of a word, twice the values. Twice the magnitudes are the integers
 * 0 1 2 3 4 6 8 12, nibbles of one constant: nothing passes through a subnormal number, which shaders may flush.
 */
export const E2M1: Declaration = {
  text: /* wgsl */ `
fn e2m1(q: u32) -> vec4f {
  let code = vec4u(q, q >> 4u, q >> 8u, q >> 12u);
  let twice = vec4f((vec4u(0xc8643210u) >> ((code & vec4u(7u)) << vec4u(2u))) & vec4u(15u));
  return bitcast<vec4f>(bitcast<vec4u>(twice) | ((code & vec4u(8u)) << vec4u(28u)));
}`,
}

/** `Eights.unscaled` of E2M1. */
export const e2m1Eight = (word: (i: string) => string) => `let q = ${word("row + k / 8u")};
  return Eight(0.5 * e2m1(q), 0.5 * e2m1(q >> 16u));`

/**
 * WGSL (vec2<f16>) for codes k and k + 4 of a word of E2M1, for k = 0 to 3: their values times 2^-14. The magnitudes' bits go
 * to 11..9 of each half, the signs' to the top. In vec2 throughout: other widths are slow on NVIDIA.
 */
export const E2M1_PAIRS: readonly ((q: string) => string)[] = [
  ["<< 9u", "<< 12u"],
  ["<< 5u", "<< 8u"],
  ["<< 1u", "<< 4u"],
  [">> 3u", ""],
].map(
  ([magnitudes, signs]) =>
    (q) =>
      `bitcast<vec2<f16>>(((${q} ${magnitudes}) & 0x0e000e00u) | ((${q} ${signs}) & 0x80008000u))`,
)

/** WGSL `e4m3(q)`: the values of the four bytes of a word. */
export const E4M3: Declaration = {
  text: /* wgsl */ `
fn e4m3(q: u32) -> vec4f {
  let code = vec4u(q, q >> 8u, q >> 16u, q >> 24u);
  let m = code & vec4u(127u);
  let normal = bitcast<vec4f>((m << vec4u(20u)) + vec4u(120u << 23u));
  let magnitude = select(normal, vec4f(m) * 0.001953125, m < vec4u(8u));
  return select(magnitude, -magnitude, (code & vec4u(128u)) != vec4u(0u));
}`,
}

/** WGSL `e8m0(s)`: 2^(s - 127) as two factors, as 2^-127 is too small for a float that may flush subnormals. */
export const E8M0: Declaration = {
  text: /* wgsl */ `
fn e8m0(s: u32) -> vec2f { return vec2f(bitcast<f32>(max(s, 1u) << 23u), select(1.0, 0.5, s == 0u)); }`,
}
