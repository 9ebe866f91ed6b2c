import * as mx from "../array/mx.js"
import type { MxArray } from "../array/mx_array.js"
import { Module, type WeightSource } from "./module.js"

/** One linear layer per expert; each row goes through the experts chosen for it. */
class SwitchLinear extends Module {
  private weight!: mx.Weight
  private bias!: MxArray

  constructor(
    private readonly inputDims: number,
    private readonly outputDims: number,
    private readonly numExperts: number,
  ) {
    super()
  }

  override load(source: WeightSource, path: string): void {
    this.weight = source.takeWeight(path, [this.numExperts, this.outputDims, this.inputDims])
    this.bias = source.take(`${path}.bias`, [this.numExperts, this.outputDims])
  }

  forward(x: MxArray, ids: MxArray): MxArray {
    return mx.gatherMatmul(x, ids, this.weight, this.bias)
  }
}

/** A mixture of gated feed-forward experts with gpt-oss's clamped SwiGLU. */
export class SwitchGLU extends Module {
  private readonly gateProj: SwitchLinear
  private readonly upProj: SwitchLinear
  private readonly downProj: SwitchLinear

  constructor(
    inputDims: number,
    hiddenDims: number,
    numExperts: number,
    private readonly activation: { readonly alpha: number; readonly limit: number },
  ) {
    super()
    this.gateProj = new SwitchLinear(inputDims, hiddenDims, numExperts)
    this.upProj = new SwitchLinear(inputDims, hiddenDims, numExperts)
    this.downProj = new SwitchLinear(hiddenDims, inputDims, numExperts)
  }

  /** x `[L, inputDims]`, expert ids `[L, k]` -> `[L, k, inputDims]` */
  forward(x: MxArray, ids: MxArray): MxArray {
    const { alpha, limit } = this.activation
    const gate = this.gateProj.forward(x, ids)
    const up = this.upProj.forward(x, ids)
    return this.downProj.forward(mx.fast.swiglu(gate, up, alpha, limit), ids)
  }
}
