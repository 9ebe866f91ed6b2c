import { share } from "./share"
import { exp, sigmoid, toFloat16 } from "./simd"
import { BFLOAT16, FLOAT16, FLOAT32, loadFloat } from "./weight"

/** Codes shared with kernels.ts: the order of UnaryFn and BinaryFn there. */
const NEG: u32 = 0
const ABS: u32 = 1
const EXP: u32 = 2
const LOG: u32 = 3
const SQRT: u32 = 4
const RSQRT: u32 = 5
const SIGMOID: u32 = 6
const SILU: u32 = 7

const ADD: u32 = 0
const SUBTRACT: u32 = 1
const MULTIPLY: u32 = 2
const DIVIDE: u32 = 3
const MAXIMUM: u32 = 4

// @ts-ignore: decorator
@inline
function unary4(fn: u32, x: v128): v128 {
  switch (fn) {
    case NEG: return f32x4.neg(x)
    case ABS: return f32x4.abs(x)
    case EXP: return exp(x)
    case LOG: return f32x4(log(x, 0), log(x, 1), log(x, 2), log(x, 3))
    case SQRT: return f32x4.sqrt(x)
    case RSQRT: return f32x4.div(f32x4.splat(1), f32x4.sqrt(x))
    case SIGMOID: return sigmoid(x)
    default: return f32x4.mul(x, sigmoid(x))
  }
}

// @ts-ignore: decorator
@inline
function log(x: v128, lane: u8): f32 {
  return <f32>NativeMath.log(<f64>(lane == 0 ? f32x4.extract_lane(x, 0) : lane == 1 ? f32x4.extract_lane(x, 1) : lane == 2 ? f32x4.extract_lane(x, 2) : f32x4.extract_lane(x, 3)))
}

export function unary(x: usize, n: u32, fn: u32, out: usize, part: u32, parts: u32): void {
  const to = share(n, 4, part + 1, parts)
  for (let i = share(n, 4, part, parts); i < to; i += 4) {
    if (i + 4 <= n) v128.store(out + (i << 2), unary4(fn, v128.load(x + (i << 2))))
    else {
      for (let j = i; j < n; j++) store<f32>(out + (j << 2), f32x4.extract_lane(unary4(fn, v128.load32_splat(x + (j << 2))), 0))
    }
  }
}

// @ts-ignore: decorator
@inline
function binary4(fn: u32, a: v128, b: v128): v128 {
  switch (fn) {
    case ADD: return f32x4.add(a, b)
    case SUBTRACT: return f32x4.sub(a, b)
    case MULTIPLY: return f32x4.mul(a, b)
    case DIVIDE: return f32x4.div(a, b)
    case MAXIMUM: return f32x4.max(a, b)
    default: return f32x4.min(a, b)
  }
}

/** Float32 only. `window` describes the output's shape and both inputs' strides: see `Window`. */
export function binary(a: usize, b: usize, fn: u32, window: usize, out: usize, part: u32, parts: u32): void {
  const w = changetype<Window>(window)
  const rows = w.rows
  const n = w.columns
  const aStep = stride(window, 0, w.rank - 1) << 2
  const bStep = stride(window, 1, w.rank - 1) << 2
  const vectors = (aStep == 4 || aStep == 0) && (bStep == 4 || bStep == 0)
  // One row is split by columns, several by rows.
  const from = rows == 1 ? share(n, 4, part, parts) : 0
  const to = rows == 1 ? share(n, 4, part + 1, parts) : n
  const last = rows == 1 ? 1 : <u32>(<u64>rows * (part + 1) / parts)
  for (let row = rows == 1 ? 0 : <u32>(<u64>rows * part / parts); row < last; row++) {
    const aRow = a + (rowOffset(window, 0, row) << 2)
    const bRow = b + (rowOffset(window, 1, row) << 2)
    const outRow = out + (row * n << 2)
    let i = from
    if (vectors) {
      for (; i + 4 <= to; i += 4) {
        const x = aStep == 0 ? v128.load32_splat(aRow) : v128.load(aRow + (i << 2))
        const y = bStep == 0 ? v128.load32_splat(bRow) : v128.load(bRow + (i << 2))
        v128.store(outRow + (i << 2), binary4(fn, x, y))
      }
    }
    for (; i < to; i++) {
      const value = binary4(fn, v128.load32_splat(aRow + i * aStep), v128.load32_splat(bRow + i * bStep))
      store<f32>(outRow + (i << 2), f32x4.extract_lane(value, 0))
    }
  }
}

/** A shape, folded into rows of its last axis, and the strides of up to two operands, in elements: see window_block.ts. */
@unmanaged
class Window {
  rank: u32
  rows: u32
  columns: u32
}

/** After the header: shape[rank], strides of operand 0 [rank], strides of operand 1 [rank]. */
// @ts-ignore: decorator
@inline
function dim(window: usize, axis: u32): u32 {
  return load<u32>(window + (axis << 2), 12)
}

// @ts-ignore: decorator
@inline
function stride(window: usize, operand: u32, axis: u32): u32 {
  return load<u32>(window + ((changetype<Window>(window).rank * (operand + 1) + axis) << 2), 12)
}

function rowOffset(window: usize, operand: u32, row: u32): u32 {
  let offset: u32 = 0
  for (let axis = <i32>changetype<Window>(window).rank - 2; axis >= 0; axis--) {
    const size = dim(window, axis)
    offset += (row % size) * stride(window, operand, axis)
    row /= size
  }
  return offset
}

/** Codes shared with kernels.ts, after those of the floats in weight.ts. */
const UINT8: u32 = 3
const INT32: u32 = 4
const UINT32: u32 = 5

// @ts-ignore: decorator
@inline
function shiftOf(type: u32): u32 {
  return type == UINT8 ? 0 : type == BFLOAT16 || type == FLOAT16 ? 1 : 2
}

// @ts-ignore: decorator
@inline
function read(at: usize, type: u32): f64 {
  switch (type) {
    case UINT8: return <f64>load<u8>(at)
    case INT32: return <f64>load<i32>(at)
    case UINT32: return <f64>load<u32>(at)
    default: return <f64>loadFloat(at, type)
  }
}

// @ts-ignore: decorator
@inline
function write(at: usize, type: u32, value: f64): void {
  switch (type) {
    case UINT8: return store<u8>(at, <u8><u32>value)
    case INT32: return store<i32>(at, <i32>value)
    case UINT32: return store<u32>(at, <u32>value)
    case FLOAT32: return store<f32>(at, <f32>value)
    case BFLOAT16: return store<u16>(at, toBfloat16(<f32>value))
    default: return store<u16>(at, <u16>i32x4.extract_lane(toFloat16(f32x4.splat(<f32>value)), 0))
  }
}

/** Nearest, ties to even; a NaN stays one. */
// @ts-ignore: decorator
@inline
function toBfloat16(value: f32): u16 {
  const bits = reinterpret<u32>(value)
  if (value != value) return <u16>(bits >> 16) | 0x40
  return <u16>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)
}

/** A strided copy, converted from one type to another. */
export function cast(
  x: usize, fromType: u32, window: usize, out: usize, toType: u32, part: u32, parts: u32
): void {
  const w = changetype<Window>(window)
  const n = w.columns
  const step = stride(window, 0, w.rank - 1) << shiftOf(fromType)
  for (let row = part; row < w.rows; row += parts) {
    const from = x + (rowOffset(window, 0, row) << shiftOf(fromType))
    const to = out + (row * n << shiftOf(toType))
    for (let i: u32 = 0; i < n; i++) write(to + (i << shiftOf(toType)), toType, read(from + i * step, fromType))
  }
}

/** A strided copy of elements of `size` bytes, as they are. */
export function copy(x: usize, size: u32, window: usize, out: usize, part: u32, parts: u32): void {
  const w = changetype<Window>(window)
  const n = w.columns
  const step = stride(window, 0, w.rank - 1) * size
  for (let row = part; row < w.rows; row += parts) {
    const from = x + rowOffset(window, 0, row) * size
    const to = out + row * n * size
    if (step == size) memory.copy(to, from, n * size)
    else for (let i: u32 = 0; i < n; i++) memory.copy(to + i * size, from + i * step, size)
  }
}
