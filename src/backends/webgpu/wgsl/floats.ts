import type { DType } from "../../../tensor/dtype.js"
import type { Declaration } from "./declaration.js"

/**
 * WGSL bodies that turn an element's bits `b` (u32, zeros above) into those of a float32. On integers throughout: a NaN
 * stays one and subnormals are kept, which WGSL's floats do not promise.
 */
const TO_FLOAT32: { readonly [D in DType]?: string } = {
  float32: "return b;",
  bfloat16: "return b << 16u;",
  float16: `
  let sign = (b & 0x8000u) << 16u;
  let m = b & 0x7fffu;
  if (m >= 0x7c00u) { return sign | 0x7f800000u | ((m & 0x3ffu) << 13u); }
  if (m < 0x400u) { return sign | bitcast<u32>(f32(m) * 0x1p-24f); }
  return sign | ((m << 13u) + (112u << 23u));`,
  float8_e5m2: `
  let sign = (b & 0x80u) << 24u;
  let m = b & 0x7fu;
  if (m >= 0x7cu) { return sign | 0x7f800000u | ((m & 3u) << 21u); }
  if (m < 4u) { return sign | bitcast<u32>(f32(m) * 0x1p-16f); }
  return sign | ((m << 21u) + (112u << 23u));`,
  float8_e4m3: `
  let sign = (b & 0x80u) << 24u;
  let m = b & 0x7fu;
  if (m == 0x7fu) { return sign | 0x7fc00000u; }
  if (m < 8u) { return sign | bitcast<u32>(f32(m) * 0x1p-9f); }
  return sign | ((m << 20u) + (120u << 23u));`,
  float8_e8m0: `
  if (b == 0xffu) { return 0x7fc00000u; }
  return select(b << 23u, 0x00400000u, b == 0u);`,
  uint32: "return bitcast<u32>(f32(b));",
  int32: "return bitcast<u32>(f32(bitcast<i32>(b)));",
  uint8: "return bitcast<u32>(f32(b));",
}

/** To a smaller float, ties to even; see `float32ToSmallFloat` of tensor/floats.ts. */
function toSmall(mantissa: number, exponent: number, overflow: number, nan: number): string {
  const bias = 2 ** (exponent - 1) - 1
  const shift = 23 - mantissa
  return `
  let sign = (b >> 31u) << ${mantissa + exponent}u;
  let m = b & 0x7fffffffu;
  if (m > 0x7f800000u) { return sign | ${nan}u; }
  if (m == 0x7f800000u) { return sign | ${overflow}u; }
  if (m >= ${128 - bias}u << 23u) {
    let rounded = (m + ${2 ** (shift - 1) - 1}u + ((m >> ${shift}u) & 1u)) >> ${shift}u;
    return sign | min(rounded - ${(127 - bias) << mantissa}u, ${overflow}u);
  }
  let s = ${shift + 128 - bias}u - (m >> 23u);
  if (s > 25u) { return sign; }
  let units = (m & 0x7fffffu) | 0x800000u;
  return sign | ((units + (1u << (s - 1u)) - 1u + ((units >> s) & 1u)) >> s);`
}

/** Modulo 2^32, as JavaScript's typed arrays take numbers. */
const TO_INTEGER = `
  let units = (b & 0x7fffffu) | 0x800000u;
  let e = i32((b >> 23u) & 255u) - 150;
  var v = 0u;
  if (e >= 0 && e < 32) { v = units << u32(e); }
  if (e < 0 && e > -24) { v = units >> u32(-e); }
  return select(v, ~v + 1u, (b >> 31u) == 1u);`

/** WGSL bodies that turn the bits `b` of a float32 into an element's, in the lowest bits. */
const FROM_FLOAT32: { readonly [D in DType]?: string } = {
  float32: "return b;",
  bfloat16: `
  if ((b & 0x7fffffffu) > 0x7f800000u) { return (b >> 16u) | 0x40u; }
  return (b + 0x7fffu + ((b >> 16u) & 1u)) >> 16u;`,
  float16: toSmall(10, 5, 0x7c00, 0x7e00),
  float8_e5m2: toSmall(2, 5, 0x7c, 0x7e),
  float8_e4m3: toSmall(3, 4, 0x7e, 0x7f),
  float8_e8m0: `
  if ((b >> 31u) == 1u || b <= 0x400000u) { return 0u; }
  return min((b >> 23u) + select(0u, 1u, (b & 0x7fffffu) != 0u), 255u);`,
  uint32: TO_INTEGER,
  int32: TO_INTEGER,
  uint8: TO_INTEGER,
}

const isInteger = (dtype: DType) => dtype === "uint32" || dtype === "int32" || dtype === "uint8"

/** WGSL function `convert(b: u32) -> u32` from an element's bits to another dtype's, or null where there is none. */
export function conversion(from: DType, to: DType): Declaration | null {
  // Integers of two's complement differ in nothing but how many bits are kept.
  if (from === to || (isInteger(from) && isInteger(to))) {
    return { text: "fn convert(b: u32) -> u32 { return b; }" }
  }
  const [decode, encode] = [TO_FLOAT32[from], FROM_FLOAT32[to]]
  if (!decode || !encode) return null
  const text = /* wgsl */ `
fn to_float32(b: u32) -> u32 { ${decode} }
fn from_float32(b: u32) -> u32 { ${encode} }
fn convert(b: u32) -> u32 { return from_float32(to_float32(b)); }`
  return { text }
}
