import type { Operand } from "../../ir/program.js"
import type { DType } from "../../tensor/dtype.js"
import { itemSize } from "../../tensor/dtype.js"
import { decodeFloats, encodeFloats, isFloatDType } from "../../tensor/floats.js"
import { sizeOf } from "../../tensor/shape.js"
import { BackendError } from "../backend.js"

/** The bytes of each of a program's buffers. */
export type Memory = readonly Uint8Array[]

/** A strided window's bytes, gathered into row-major order. */
export function gatherBytes(memory: Memory, { buffer, offset, shape, strides, dtype }: Operand): Uint8Array {
  const size = itemSize(dtype)
  const source = memory[buffer]
  const out = new Uint8Array(sizeOf(shape) * size)
  const index = new Array<number>(shape.length).fill(0)
  for (let i = 0; i < out.length; i += size) {
    const at = offset + index.reduce((sum, position, axis) => sum + position * strides[axis], 0) * size
    for (let byte = 0; byte < size; byte++) out[i + byte] = source[at + byte]
    for (let axis = shape.length - 1; axis >= 0 && ++index[axis] === shape[axis]; axis--) index[axis] = 0
  }
  return out
}

/** A window whose first axis is fixed to `index`. */
export function row(operand: Operand, index: number): Operand {
  return {
    ...operand,
    offset: operand.offset + index * operand.strides[0] * itemSize(operand.dtype),
    shape: operand.shape.slice(1),
    strides: operand.strides.slice(1),
  }
}

/** The values of a float operand, row-major, as float32. */
export function loadFloats(memory: Memory, operand: Operand): Float32Array {
  const out = new Float32Array(sizeOf(operand.shape))
  if (isFloatDType(operand.dtype)) decodeFloats(operand.dtype, gatherBytes(memory, operand), out)
  else out.set(loadIntegers(memory, operand))
  return out
}

const INTEGER_ARRAYS: Partial<Record<DType, typeof Uint32Array | typeof Int32Array | typeof Uint8Array>> = {
  uint32: Uint32Array,
  int32: Int32Array,
  uint8: Uint8Array,
}

function integerArray(dtype: DType) {
  const array = INTEGER_ARRAYS[dtype]
  if (!array) throw new BackendError(`the reference backend does not compute with ${dtype}: cast it elsewhere`)
  return array
}

/** The values of an integer operand, row-major. */
export function loadIntegers(memory: Memory, operand: Operand): Uint32Array | Int32Array | Uint8Array {
  return new (integerArray(operand.dtype))(gatherBytes(memory, operand).buffer as ArrayBuffer)
}

/** Rows one after another. */
export function concat<T extends Float32Array | Uint8Array>(rows: readonly T[], empty: (length: number) => T): T {
  const out = empty(rows.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const row of rows) {
    out.set(row, at)
    at += row.length
  }
  return out
}

/** A kernel's result: numbers to be rounded to the output's dtype, or its bytes as they are. */
export type Values = Float32Array | Float64Array | Uint32Array | Uint8Array

/** Writes row-major values to a contiguous operand. */
export function store(memory: Memory, operand: Operand, values: Values): void {
  const size = sizeOf(operand.shape) * itemSize(operand.dtype)
  const out = memory[operand.buffer].subarray(operand.offset, operand.offset + size)
  if (values instanceof Uint8Array) out.set(values)
  else if (isFloatDType(operand.dtype)) encodeFloats(operand.dtype, Float32Array.from(values), out)
  else out.set(new Uint8Array(integerArray(operand.dtype).from(values).buffer))
}
