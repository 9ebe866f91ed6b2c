import { type Count, rowsOf, times } from "./counts.js"
import { kvFormatOf } from "../../ir/expect.js"
import type { Operand } from "../../ir/program.js"
import type { WeightOf } from "../../ir/type.js"
import type { DType } from "../../tensor/dtype.js"
import { itemSize } from "../../tensor/dtype.js"
import type { KvFormat } from "../../tensor/kv_format.js"
import type { Quantization } from "../../tensor/quantization.js"
import { BackendError } from "../backend.js"

/** An operand in the memory that its kernel runs in. */
export interface Placed extends Operand {
  /** Byte offset in that memory. */
  readonly address: number
  /** Whether its rows are interleaved four at a time: see wasm/interleaved.ts. */
  readonly interleaved: boolean
}

/** The codes that the kernels know dtypes by: see wasm/weight.ts and wasm/elementwise.ts. */
const DTYPE_CODES: Partial<Record<DType, number>> = {
  float32: 0,
  bfloat16: 1,
  float16: 2,
  uint8: 3,
  bool: 3,
  int32: 4,
  uint32: 5,
}

export function dtypeCode(dtype: DType): number {
  const code = DTYPE_CODES[dtype]
  if (code === undefined) throw new BackendError(`the cpu backend does not compute with ${dtype}: cast it elsewhere`)
  return code
}

export function floatCode(what: string, { dtype }: Operand): number {
  const code = dtypeCode(dtype)
  if (code > 2) throw new BackendError(`${what} must be float32, bfloat16 or float16, found ${dtype}`)
  return code
}

/** The formats that the kernels know caches by: see wasm/kv_cache.ts. */
export function kvFormatCode(cache: Operand, D: number): number {
  return KV_FORMATS.indexOf(kvFormatOf(cache, D)!)
}

const KV_FORMATS: readonly KvFormat[] = ["float32", "float16", "int8", "int4"]

const MODE_CODES: Record<Quantization["mode"], number> = { affine: 1, mxfp4: 2, mxfp8: 3, nvfp4: 4 }

/**
 * The fields of `Weight` in wasm/weight.ts, for rows of K elements.
 *
 * @param activations bits of the integers that products take activations as; 0: float32
 */
export function weightDescriptor(of: WeightOf<Placed>, K: number, activations = 0): number[] {
  const { quantization, weight, scales, biases, bias } = of
  const lead = weight.shape.length - 2
  const place = (part: Placed | undefined) => {
    if (!part) return [0, 0, 0]
    const size = itemSize(part.dtype)
    return [part.address, part.strides[lead] * size, lead ? part.strides[0] * size : 0]
  }
  const floats = quantization ? (quantization.mode === "affine" ? floatCode("scales", scales!) : 0) : null
  return [
    quantization ? MODE_CODES[quantization.mode] : 0,
    quantization?.bits ?? 0,
    quantization?.group_size ?? 0,
    K,
    ...place(weight),
    floats ?? floatCode("weight", weight),
    ...place(scales),
    ...place(biases),
    biases ? floatCode("biases", biases) : 0,
    ...place(bias),
    bias ? floatCode("bias", bias) : 0,
    activations,
    Number(weight.interleaved),
  ]
}

/**
 * `Window` in wasm/elementwise.ts: an output's shape and the strides of one or two operands that broadcast to it.
 * Neighbouring axes that every operand walks through evenly are folded into one.
 */
export function windowDescriptor(output: Placed, operands: readonly Placed[]): Count[] {
  const { shape } = output
  const steps = operands.map(({ shape: own, strides }) => {
    const lead = shape.length - own.length
    return shape.map((_, axis) => (axis < lead || own[axis - lead] === 1 ? 0 : strides[axis - lead]))
  })
  const dims: Count[] = shape.map((dim, axis) => (axis === 0 ? rowsOf(output) : dim))
  const axes = dims.map((dim, axis) => ({ dim, steps: steps.map((step) => step[axis]) })).filter(({ dim }) => dim !== 1)
  const folded: typeof axes = []
  for (const axis of axes) {
    const outer = folded[folded.length - 1]
    // Only the first axis may be told at a replay, so an axis that is folded into another is known.
    const size = axis.dim as number
    if (outer?.steps.every((step, i) => step === axis.steps[i] * size)) {
      folded[folded.length - 1] = { dim: times(outer.dim, size), steps: axis.steps }
    } else folded.push(axis)
  }
  if (folded.length === 0) folded.push({ dim: 1, steps: operands.map(() => 0) })
  const columns = folded[folded.length - 1].dim
  const [first, ...inner] = folded.slice(0, -1)
  const rows = first
    ? times(
        first.dim,
        inner.reduce((product, { dim }) => product * (dim as number), 1),
      )
    : 1
  const strides = operands.flatMap((_, i) => folded.map((axis) => axis.steps[i]))
  return [folded.length, rows, columns, ...folded.map(({ dim }) => dim), ...strides]
}
