import { type GatedActivation, gluCoefficients } from "../../ir/activation.js"
import type { KernelOf, OperandsOf } from "../../ir/operations.js"
import type { Operand } from "../../ir/program.js"
import type { BinaryFn, UnaryFn } from "../../ir/specs/elementwise.js"
import { contiguousStrides, sizeOf } from "../../tensor/shape.js"
import { loadFloats, type Memory } from "./operands.js"

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))

const UNARY: Record<UnaryFn, (x: number) => number> = {
  neg: (x) => -x,
  abs: Math.abs,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  sigmoid,
  silu: (x) => x * sigmoid(x),
}

const BINARY: Record<BinaryFn, (a: number, b: number) => number> = {
  add: (a, b) => a + b,
  subtract: (a, b) => a - b,
  multiply: (a, b) => a * b,
  divide: (a, b) => a / b,
  maximum: Math.max,
  minimum: Math.min,
}

export function unary(memory: Memory, { fn }: KernelOf<"unary">, { x }: OperandsOf<"unary", Operand>): Float32Array {
  return loadFloats(memory, x).map(UNARY[fn])
}

/** Stretches an operand to `shape` by strides of zero. */
function broadcast(operand: Operand, shape: readonly number[]): Operand {
  const lead = shape.length - operand.shape.length
  const strides = shape.map((_, axis) =>
    axis < lead || operand.shape[axis - lead] === 1 ? 0 : operand.strides[axis - lead],
  )
  return { ...operand, shape, strides }
}

export function binary(
  memory: Memory,
  { fn }: KernelOf<"binary">,
  { a, b }: OperandsOf<"binary", Operand>,
  { shape }: Operand,
): Float32Array {
  const right = loadFloats(memory, broadcast(b, shape))
  return loadFloats(memory, broadcast(a, shape)).map((value, i) => BINARY[fn](value, right[i]))
}

export function glu(gate: Float32Array, up: Float32Array, activation: GatedActivation): Float32Array {
  const { alpha, cubic, limit, offset } = gluCoefficients(activation)
  return gate.map((value, i) => {
    const g = Math.min(value, limit)
    const z = cubic === 0 ? alpha * g : alpha * g + cubic * g ** 3
    return g * sigmoid(z) * (Math.min(Math.max(up[i], -limit), limit) + offset)
  })
}

/** `x / sqrt(mean(x^2) + eps) * weight`, by rows. */
export function rmsNorm(memory: Memory, eps: number, x: Operand, weight: Operand): Float32Array {
  const n = x.shape[x.shape.length - 1]
  const values = loadFloats(memory, x)
  const scale = loadFloats(memory, weight)
  const out = new Float32Array(values.length)
  for (let at = 0; at < values.length; at += n) {
    let squares = 0
    for (let i = 0; i < n; i++) squares += values[at + i] ** 2
    const inverse = 1 / Math.sqrt(squares / n + eps)
    for (let i = 0; i < n; i++) out[at + i] = values[at + i] * inverse * scale[i]
  }
  return out
}

/** Rotates the two halves of each head by `position * inv_freq`. */
export function rope(
  memory: Memory,
  scale: number,
  { x, positions, inv_freq }: OperandsOf<"rope", Operand>,
): Float32Array {
  const [, heads, headDim] = x.shape
  const half = headDim / 2
  const values = loadFloats(memory, x)
  const position = loadFloats(memory, positions)
  const frequency = loadFloats(memory, inv_freq)
  const out = new Float32Array(sizeOf(x.shape))
  const strides = contiguousStrides(x.shape)
  for (let l = 0; l < position.length; l++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < half; i++) {
        const first = l * strides[0] + h * strides[1] + i
        const angle = position[l] * frequency[i]
        const [cos, sin] = [Math.cos(angle) * scale, Math.sin(angle) * scale]
        out[first] = values[first] * cos - values[first + half] * sin
        out[first + half] = values[first + half] * cos + values[first] * sin
      }
    }
  }
  return out
}
