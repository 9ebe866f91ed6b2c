import type { Declaration } from "./declaration.js"

/**
 * WGSL functions that make floats comparable, from their bits: WGSL may assume that there is no NaN nor Infinity, and
 * fold a comparison that looks for one. `ranked` keeps finite values, makes -Infinity the lowest of them and NaN and
 * Infinity the highest, so that they win a maximum; `is_finite` then says what has won.
 */
export const RANKED: Declaration = {
  text: /* wgsl */ `
fn is_finite(bits: u32) -> bool { return (bits & 0x7fffffffu) < 0x7f800000u; }
fn ranked(bits: u32) -> f32 {
  let end = select(0x7f7fffffu, 0xff7fffffu, bits == 0xff800000u);
  return bitcast<f32>(select(end, bits, is_finite(bits)));
}`,
}
