import { itemSize } from "../../tensor/dtype.js"
import { decodeFloats, encodeFloats, isFloatDType } from "../../tensor/floats.js"
import { sizeOf } from "../../tensor/shape.js"
import type { Operand } from "../program.js"

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

/** The values of an integer operand, row-major. */
export function loadIntegers(memory: Memory, operand: Operand): Uint32Array | Int32Array | Uint8Array {
  const { buffer } = gatherBytes(memory, operand)
  if (operand.dtype === "uint32") return new Uint32Array(buffer)
  if (operand.dtype === "int32") return new Int32Array(buffer)
  if (operand.dtype === "uint8") return new Uint8Array(buffer)
  throw new RangeError(`the reference backend does not compute with ${operand.dtype}`)
}

/** Writes row-major values to a contiguous operand, rounded to its dtype. */
export function store(memory: Memory, operand: Operand, values: Float32Array | Uint32Array): void {
  const size = sizeOf(operand.shape) * itemSize(operand.dtype)
  const out = memory[operand.buffer].subarray(operand.offset, operand.offset + size)
  if (!isFloatDType(operand.dtype)) out.set(new Uint8Array(Uint32Array.from(values).buffer))
  else encodeFloats(operand.dtype, values instanceof Float32Array ? values : Float32Array.from(values), out)
}
