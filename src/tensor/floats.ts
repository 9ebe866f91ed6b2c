import type { DType } from "./dtype.js"
import { itemSize } from "./dtype.js"

const f32 = new Float32Array(1)
const u32 = new Uint32Array(f32.buffer)

function bitsToFloat32(bits: number): number {
  u32[0] = bits
  return f32[0]
}

function float32ToBits(value: number): number {
  f32[0] = value
  return u32[0]
}

/** bfloat16 bits to a number: the upper half of a float32. */
export function bfloat16ToFloat32(bits: number): number {
  return bitsToFloat32(bits << 16)
}

/** Nearest bfloat16 bits, ties to even; NaN stays NaN. */
export function float32ToBfloat16(value: number): number {
  const bits = float32ToBits(value)
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16
}

/** IEEE 754 binary16 bits to a number. */
export function float16ToFloat32(bits: number): number {
  const sign = (bits & 0x8000) << 16
  const magnitude = bits & 0x7fff
  if (magnitude >= 0x7c00) return bitsToFloat32(sign | 0x7f800000 | ((magnitude & 0x3ff) << 13))
  // The exponent fields differ by 112; the product is exact and also normalises the subnormals.
  const value = bitsToFloat32(magnitude << 13) * 2 ** 112
  return sign ? -value : value
}

/** Nearest IEEE 754 binary16 bits, ties to even; beyond 65504 + half a step: infinity. */
export function float32ToFloat16(value: number): number {
  return float32ToSmallFloat(value, F16)
}

/** OCP FP8 E4M3 bits (no infinity; 0x7f and 0xff are NaN) to a number. */
export function float8E4m3ToFloat32(bits: number): number {
  return E4M3_VALUES[bits]
}

/**
 * Nearest OCP FP8 E4M3 bits, ties to even. Saturates at +-448 as MLX's `mx.to_fp8` does; NaN stays NaN, where MLX
 * writes 448.
 */
export function float32ToFloat8E4m3(value: number): number {
  return float32ToSmallFloat(value, E4M3)
}

/** OCP FP8 E5M2 bits to a number: the upper half of a float16. */
export function float8E5m2ToFloat32(bits: number): number {
  return float16ToFloat32(bits << 8)
}

/** Nearest OCP FP8 E5M2 bits, ties to even; beyond 57344 + half a step: infinity. */
export function float32ToFloat8E5m2(value: number): number {
  return float32ToSmallFloat(value, E5M2)
}

/** E8M0 scale: 2^(bits - 127); 0xff is NaN (OCP Microscaling Formats 1.0, section 5.4.1). */
export function float8E8m0ToFloat32(bits: number): number {
  return E8M0_VALUES[bits]
}

/**
 * The smallest power of two that is at least `value` (so that a block divided by it stays in range), from 2^-127 up;
 * NaN, infinity and beyond 2^127: 0xff.
 */
export function float32ToFloat8E8m0(value: number): number {
  const bits = float32ToBits(value)
  if (bits >>> 31 || bits <= 0x400000) return 0
  // A mantissa above zero rounds up; subnormals above 2^-127 reach 2^-126 the same way.
  return Math.min((bits >>> 23) + (bits & 0x7fffff ? 1 : 0), 0xff)
}

interface SmallFloat {
  readonly mantissaBits: number
  readonly exponentBits: number
  /** The code of everything too large: infinity, or the largest number where the format has none. */
  readonly overflow: number
  readonly nan: number
}

const F16: SmallFloat = { mantissaBits: 10, exponentBits: 5, overflow: 0x7c00, nan: 0x7e00 }
const E4M3: SmallFloat = { mantissaBits: 3, exponentBits: 4, overflow: 0x7e, nan: 0x7f }
const E5M2: SmallFloat = { mantissaBits: 2, exponentBits: 5, overflow: 0x7c, nan: 0x7e }

/** Rounds to a small float format, ties to even, subnormals kept. */
function float32ToSmallFloat(value: number, { mantissaBits, exponentBits, overflow, nan }: SmallFloat): number {
  const bits = float32ToBits(value)
  const sign = (bits >>> 31) << (mantissaBits + exponentBits)
  const magnitude = Math.abs(f32[0])
  if (Number.isNaN(magnitude)) return sign | nan
  if (magnitude === Number.POSITIVE_INFINITY) return sign | overflow
  const bias = 2 ** (exponentBits - 1) - 1
  const exponent = Math.max(((bits >>> 23) & 0xff) - 127, 1 - bias)
  // Rounding up to the next power of two carries into the exponent field by itself.
  const units = roundHalfEven(magnitude / 2 ** (exponent - mantissaBits))
  return sign | Math.min(units + ((exponent + bias - 1) << mantissaBits), overflow)
}

/** Nearest integer, ties to even (C's `rint`). `x` at least 0. */
export function roundHalfEven(x: number): number {
  const down = Math.floor(x)
  const rest = x - down
  if (rest !== 0.5) return rest < 0.5 ? down : down + 1
  return down % 2 === 0 ? down : down + 1
}

const E4M3_VALUES = Float32Array.from({ length: 256 }, (_, bits) => {
  const exponent = (bits >> 3) & 15
  const mantissa = bits & 7
  if (exponent === 15 && mantissa === 7) return Number.NaN
  const magnitude = exponent === 0 ? mantissa * 2 ** -9 : (8 + mantissa) * 2 ** (exponent - 10)
  return bits & 0x80 ? -magnitude : magnitude
})

const E8M0_VALUES = Float32Array.from({ length: 256 }, (_, bits) => (bits === 255 ? Number.NaN : 2 ** (bits - 127)))

/** The dtypes that `decodeFloats` and `encodeFloats` know. */
export type FloatDType = Extract<DType, `float${string}` | "bfloat16">

const DECODE: Record<Exclude<FloatDType, "float32" | "float64">, (bits: number) => number> = {
  bfloat16: bfloat16ToFloat32,
  float16: float16ToFloat32,
  float8_e4m3: float8E4m3ToFloat32,
  float8_e5m2: float8E5m2ToFloat32,
  float8_e8m0: float8E8m0ToFloat32,
}

const ENCODE: Record<Exclude<FloatDType, "float32" | "float64">, (value: number) => number> = {
  bfloat16: float32ToBfloat16,
  float16: float32ToFloat16,
  float8_e4m3: float32ToFloat8E4m3,
  float8_e5m2: float32ToFloat8E5m2,
  float8_e8m0: float32ToFloat8E8m0,
}

export function isFloatDType(dtype: DType): dtype is FloatDType {
  return dtype.includes("float")
}

/** Reads `out.length` little-endian values of `dtype` from the start of `bytes` (any alignment) as float32. */
export function decodeFloats(dtype: FloatDType, bytes: Uint8Array, out: Float32Array): void {
  checkLength(dtype, bytes, out.length)
  if (dtype === "float32" || dtype === "float64") {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (dtype === "float32") for (let i = 0; i < out.length; i++) out[i] = view.getFloat32(4 * i, true)
    else for (let i = 0; i < out.length; i++) out[i] = view.getFloat64(8 * i, true)
    return
  }
  const decode = DECODE[dtype]
  if (itemSize(dtype) === 1) for (let i = 0; i < out.length; i++) out[i] = decode(bytes[i])
  else for (let i = 0; i < out.length; i++) out[i] = decode(bytes[2 * i] | (bytes[2 * i + 1] << 8))
}

/** Writes `values` as little-endian `dtype` to the start of `out` (any alignment), each rounded to nearest even. */
export function encodeFloats(dtype: FloatDType, values: Float32Array, out: Uint8Array): void {
  checkLength(dtype, out, values.length)
  if (dtype === "float32" || dtype === "float64") {
    const view = new DataView(out.buffer, out.byteOffset, out.byteLength)
    if (dtype === "float32") for (let i = 0; i < values.length; i++) view.setFloat32(4 * i, values[i], true)
    else for (let i = 0; i < values.length; i++) view.setFloat64(8 * i, values[i], true)
    return
  }
  const encode = ENCODE[dtype]
  const size = itemSize(dtype)
  for (let i = 0; i < values.length; i++) {
    const bits = encode(values[i])
    out[size * i] = bits & 0xff
    if (size === 2) out[size * i + 1] = bits >>> 8
  }
}

function checkLength(dtype: FloatDType, bytes: Uint8Array, length: number): void {
  const needed = length * itemSize(dtype)
  if (bytes.byteLength < needed) {
    throw new RangeError(`${length} ${dtype} values take ${needed} bytes, but only ${bytes.byteLength} were given`)
  }
}
