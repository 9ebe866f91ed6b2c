import { mapWeight } from "../../ir/operands.js"
import type { Operand } from "../../ir/program.js"
import type { WeightOf } from "../../ir/type.js"
import { dequantizeRow, scaleDType } from "../../tensor/dequantize.js"
import { decodeFloats } from "../../tensor/floats.js"
import { gatherBytes, loadFloats, type Memory, row } from "./operands.js"

/** Rows of a stored weight, decoded one at a time. */
export class Weight {
  constructor(
    private readonly memory: Memory,
    private readonly of: WeightOf<Operand>,
  ) {}

  /** Number of rows along the first axis: the vocabulary, output rows, or experts. */
  get length(): number {
    return this.of.weight.shape[0]
  }

  /** One expert's weight. */
  expert(index: number): Weight {
    return new Weight(
      this.memory,
      mapWeight(this.of, (operand) => row(operand, index)),
    )
  }

  /** Row `n` as floats. */
  row(n: number, K: number): Float32Array {
    const { quantization, weight, scales, biases } = this.of
    if (!quantization) return loadFloats(this.memory, row(weight, n))
    const out = new Float32Array(K)
    const dtype = scaleDType(quantization)
    const scaleRow = row(scales!, n)
    const decoded = new Float32Array(scaleRow.shape[0])
    if (dtype) decodeFloats(dtype, gatherBytes(this.memory, scaleRow), decoded)
    else decoded.set(loadFloats(this.memory, scaleRow))
    const offsets = biases ? loadFloats(this.memory, row(biases, n)) : null
    dequantizeRow(quantization, gatherBytes(this.memory, row(weight, n)), decoded, offsets, out)
    return out
  }

  /** `W x + bias` for each of `rows`, `[rows][K]` -> `[rows][N]`. Each weight row is decoded once. */
  apply(rows: readonly Float32Array[]): Float32Array[] {
    const N = this.length
    const bias = this.of.bias && loadFloats(this.memory, this.of.bias)
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
