import * as mx from "../array/mx.js"
import type { MxArray } from "../array/mx_array.js"
import { Module, type WeightSource } from "./module.js"

export class RMSNorm extends Module {
  private weight!: MxArray

  constructor(
    private readonly dims: number,
    private readonly eps: number,
  ) {
    super()
  }

  override load(source: WeightSource, path: string): void {
    this.weight = source.take(`${path}.weight`, [this.dims])
  }

  forward(x: MxArray): MxArray {
    return mx.fast.rmsNorm(x, this.weight, this.eps)
  }
}
