import { dequantizeRow, scaleDType } from "../../tensor/dequantize.js"
import { decodeFloats } from "../../tensor/floats.js"
import type { WeightFormat } from "../ops.js"
import type { Operand } from "../program.js"
import { gatherBytes, loadFloats, type Memory, row } from "./operands.js"

/** A weight's operands, taken off the front of `operands`. */
export function takeWeight(memory: Memory, format: WeightFormat, operands: Operand[]): Weight {
  const weight = operands.shift()!
  const scales = format.quantization ? operands.shift()! : null
  const biases = format.quantization?.mode === "affine" ? operands.shift()! : null
  const bias = format.bias ? operands.shift()! : null
  return new Weight(memory, format, { weight, scales, biases, bias })
}

interface Parts {
  readonly weight: Operand
  readonly scales: Operand | null
  readonly biases: Operand | null
  readonly bias: Operand | null
}

/** Rows of a stored weight, decoded one at a time. */
export class Weight {
  constructor(
    private readonly memory: Memory,
    private readonly format: WeightFormat,
    private readonly parts: Parts,
  ) {}

  /** Number of rows along the first axis: the vocabulary, output rows, or experts. */
  get length(): number {
    return this.parts.weight.shape[0]
  }

  /** One expert's weight. */
  expert(index: number): Weight {
    const { weight, scales, biases, bias } = this.parts
    const pick = (operand: Operand | null) => operand && row(operand, index)
    const parts = { weight: row(weight, index), scales: pick(scales), biases: pick(biases), bias: pick(bias) }
    return new Weight(this.memory, this.format, parts)
  }

  /** Row `n` as floats. */
  row(n: number, K: number): Float32Array {
    const { weight, scales, biases } = this.parts
    const { quantization } = this.format
    if (!quantization) return loadFloats(this.memory, row(weight, n))
    const out = new Float32Array(K)
    const dtype = scaleDType(quantization)
    const scaleRow = row(scales!, n)
    const decoded = new Float32Array(scaleRow.shape[0])
    if (dtype) decodeFloats(dtype, gatherBytes(this.memory, scaleRow), decoded)
    else decoded.set(loadFloats(this.memory, scaleRow))
    const offsets = biases && loadFloats(this.memory, row(biases, n))
    dequantizeRow(quantization, gatherBytes(this.memory, row(weight, n)), decoded, offsets, out)
    return out
  }

  /** `W x + bias` for each of `rows`, `[rows][K]` -> `[rows][N]`. Each weight row is decoded once. */
  apply(rows: readonly Float32Array[]): Float32Array[] {
    const N = this.length
    const bias = this.parts.bias && loadFloats(this.memory, this.parts.bias)
    const out = rows.map(() => new Float32Array(N))
    for (let n = 0; n < N; n++) {
      const weights = this.row(n, rows[0].length)
      for (const [r, x] of rows.entries()) {
        let sum = bias ? bias[n] : 0
        for (let k = 0; k < x.length; k++) sum += weights[k] * x[k]
        out[r][n] = sum
      }
    }
    return out
  }
}
