import * as mx from "../array/mx.js"
import type { MxArray } from "../array/mx_array.js"
import { Module, type WeightSource } from "./module.js"

/** `x W^T + b`. The weight is dense or quantized, as the checkpoint stores it. */
export class Linear extends Module {
  private weight!: mx.Weight
  private bias?: MxArray

  constructor(
    private readonly inputDims: number,
    private readonly outputDims: number,
    private readonly hasBias: boolean,
  ) {
    super()
  }

  override load(source: WeightSource, path: string): void {
    this.weight = source.takeWeight(path, [this.outputDims, this.inputDims])
    if (this.hasBias) this.bias = source.take(`${path}.bias`, [this.outputDims])
  }

  /** `[L, inputDims]` -> `[L, outputDims]` */
  forward(x: MxArray): MxArray {
    return mx.matmul(x, this.weight, this.bias)
  }
}
