import { constant, slice } from "../../../src/graph/build.js"
import { mapWeight } from "../../../src/ir/operands.js"
import type { WeightOf } from "../../../src/ir/type.js"
import type { Value } from "../../../src/ir/value.js"
import type { DType } from "../../../src/tensor/dtype.js"
import { itemSize } from "../../../src/tensor/dtype.js"
import { encodeFloats } from "../../../src/tensor/floats.js"
import { packedRowBytes, type Quantization } from "../../../src/tensor/quantization.js"
import { type Shape, sizeOf } from "../../../src/tensor/shape.js"
import { Storage } from "../../../src/tensor/storage.js"

/** How a weight is stored, and whether it has a bias. */
export interface WeightFormat {
  readonly quantization: Quantization | null
  readonly bias: boolean
}

/** The dtypes that dense weights, scales, biases, norms and sinks come in. */
export type WeightDType = "float32" | "float16" | "bfloat16"
export const WEIGHT_DTYPES: readonly WeightDType[] = ["float32", "float16", "bfloat16"]

/** Shapes of elements in all: one, fewer than a vector, no multiple of one, and more than a workgroup takes. */
export const SHAPES: readonly Shape[] = [[1], [7], [3, 5], [17, 33], [2, 3, 130]]

/** Random numbers that are the same in every run. */
export class Random {
  constructor(private seed: number) {}

  /** In [0, 1). */
  uniform(): number {
    // Mulberry32.
    this.seed = (this.seed + 0x6d2b79f5) | 0
    let t = Math.imul(this.seed ^ (this.seed >>> 15), 1 | this.seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }

  below(n: number): number {
    return Math.floor(this.uniform() * n)
  }

  floats(n: number, scale = 1): Float32Array {
    return Float32Array.from({ length: n }, () => (this.uniform() * 2 - 1) * scale)
  }

  integers(n: number, below: number): Uint32Array {
    return Uint32Array.from({ length: n }, () => this.below(below))
  }

  bytes(n: number, from = 0, to = 256): Uint8Array {
    return Uint8Array.from({ length: n }, () => from + this.below(to - from))
  }
}

/** A storage that starts as `bytes`. */
export function storageOf(name: string, dtype: DType, shape: Shape, bytes: Uint8Array): Storage {
  const read = async (offset: number, into: Uint8Array) => into.set(bytes.subarray(offset, offset + into.byteLength))
  return new Storage(name, dtype, shape, { read })
}

export function stored(dtype: DType, shape: Shape, bytes: Uint8Array): Value {
  return constant(storageOf("a constant", dtype, shape, bytes))
}

/** A float32 constant of the values given. */
export function exactly(shape: Shape, values: Iterable<number>): Value {
  return stored("float32", shape, new Uint8Array(Float32Array.from(values).buffer))
}

export function floats(random: Random, shape: Shape, dtype: WeightDType = "float32", scale = 1): Value {
  const bytes = new Uint8Array(sizeOf(shape) * itemSize(dtype))
  encodeFloats(dtype, random.floats(sizeOf(shape), scale), bytes)
  return stored(dtype, shape, bytes)
}

export function integers(random: Random, shape: Shape, below: number): Value {
  return stored("uint32", shape, new Uint8Array(random.integers(sizeOf(shape), below).buffer))
}

/** Values of which many are equal. */
export function tied(random: Random, shape: Shape): Value {
  return exactly(shape, random.integers(sizeOf(shape), 3))
}

/** Values of which a third is -Infinity, never a whole row: logits under a grammar. */
export function masked(random: Random, shape: Shape, scale = 5): Value {
  const n = shape[shape.length - 1]
  const values = random.floats(sizeOf(shape), scale)
  return exactly(
    shape,
    values.map((value, i) => (i % n !== n >> 1 && random.below(3) === 0 ? Number.NEGATIVE_INFINITY : value)),
  )
}

/** Every second row (or column) of a constant, as a view. */
export function everySecond(operand: Value, axis: number, first: number): Value {
  const at = (value: number, otherwise: number) => operand.shape.map((_, i) => (i === axis ? value : otherwise))
  return slice(operand, at(first, 0), operand.shape, at(2, 1))
}

/** The same rows of a weight's every part: see {@link everySecond}. */
export function everySecondRow(weight: WeightOf<Value>, axis: number, first: number): WeightOf<Value> {
  return mapWeight(weight, (part) => everySecond(part, axis, first))
}

/**
 * A random weight of a format, `[...lead, N, K]`; scales and biases in `dtype`, or dense in it. Packed rows are
 * words as MLX stores them, or bytes as Hugging Face does.
 */
export function weight(
  random: Random,
  format: WeightFormat,
  lead: Shape,
  N: number,
  K: number,
  dtype: WeightDType,
  packing: "uint32" | "uint8" = "uint32",
): WeightOf<Value> {
  const { quantization } = format
  const bias = format.bias ? floats(random, [...lead, N], dtype) : undefined
  if (!quantization) return { quantization, weight: floats(random, [...lead, N, K], dtype, K ** -0.5), bias }
  const rowBytes = packedRowBytes(quantization, K)
  const packed = random.bytes(sizeOf(lead) * N * rowBytes)
  const words = stored(
    packing,
    [...lead, N, rowBytes / itemSize(packing)],
    quantization.mode === "mxfp8" ? finiteE4M3(packed) : packed,
  )
  const groups = [...lead, N, K / quantization.group_size]
  if (quantization.mode === "affine") {
    const scale = 1 / 2 ** quantization.bits
    const [scales, biases] = [floats(random, groups, dtype, scale), floats(random, groups, dtype, 0.5)]
    return { quantization, weight: words, scales, biases, bias }
  }
  const scales =
    quantization.mode === "nvfp4" ? random.bytes(sizeOf(groups), 0x18, 0x38) : random.bytes(sizeOf(groups), 118, 128)
  return { quantization, weight: words, scales: stored("uint8", groups, scales), bias }
}

/** Without the two bytes that are NaN. */
function finiteE4M3(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => ((byte & 0x7f) === 0x7f ? byte & 0x80 : byte))
}

export const AFFINE_8: Quantization = { mode: "affine", bits: 8, group_size: 64 }
export const MXFP4: Quantization = { mode: "mxfp4", bits: 4, group_size: 32 }

export const QUANTIZATIONS: readonly Quantization[] = [
  ...([2, 3, 4, 5, 6, 8] as const).flatMap((bits) =>
    ([32, 64, 128] as const).map((group_size) => ({ mode: "affine" as const, bits, group_size })),
  ),
  MXFP4,
  { mode: "mxfp8", bits: 8, group_size: 32 },
  { mode: "nvfp4", bits: 4, group_size: 16 },
]

/** A weight format to test, and what its float operands are. */
export interface NamedFormat {
  readonly name: string
  readonly format: WeightFormat
  readonly dtype: WeightDType
}

/** Every quantization and every dense dtype, float operands and biases varied; the published pairs among them. */
export function formats(): NamedFormat[] {
  const quantized = QUANTIZATIONS.map((quantization, i) => ({
    name: `${quantization.mode} ${quantization.bits}/${quantization.group_size}`,
    format: { quantization, bias: i % 2 === 0 },
    dtype: WEIGHT_DTYPES[(i + 2) % 3],
  }))
  const published = [AFFINE_8, MXFP4].map((quantization) => ({
    name: `${quantization.mode} as published, with a bfloat16 bias`,
    format: { quantization, bias: true },
    dtype: "bfloat16" as const,
  }))
  const dense = WEIGHT_DTYPES.map((dtype, i) => ({
    name: `dense ${dtype}`,
    format: { quantization: null, bias: i !== 1 },
    dtype,
  }))
  return [...quantized, ...published, ...dense]
}
