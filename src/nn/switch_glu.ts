import * as mx from "../array/mx.js"
import type { MxArray } from "../array/mx_array.js"
import { Module, type WeightSource } from "./module.js"

/** One linear layer per expert; each row goes through the experts chosen for it. */
class SwitchLinear extends Module {
  private weight!: mx.Weight
  private bias?: MxArray

  constructor(
    private readonly inputDims: number,
    private readonly outputDims: number,
    private readonly numExperts: number,
    private readonly hasBias: boolean,
  ) {
    super()
  }

  override load(source: WeightSource, path: string): void {
    this.weight = source.takeWeight(path, [this.numExperts, this.outputDims, this.inputDims])
    if (this.hasBias) this.bias = source.take(`${path}.bias`, [this.numExperts, this.outputDims])
  }

  forward(x: MxArray, ids: MxArray): MxArray {
    return mx.gatherMatmul(x, ids, this.weight, this.bias)
  }
}

/** A mixture of gated feed-forward experts (Shazeer 2020, arXiv 2002.05202): `down(activation(gate(x), up(x)))`. */
export class SwitchGLU extends Module {
  private readonly gateProj: SwitchLinear
  private readonly upProj: SwitchLinear
  private readonly downProj: SwitchLinear

  constructor(
    inputDims: number,
    hiddenDims: number,
    numExperts: number,
    hasBias: boolean,
    private readonly activation: mx.GatedActivation,
  ) {
    super()
    this.gateProj = new SwitchLinear(inputDims, hiddenDims, numExperts, hasBias)
    this.upProj = new SwitchLinear(inputDims, hiddenDims, numExperts, hasBias)
    this.downProj = new SwitchLinear(hiddenDims, inputDims, numExperts, hasBias)
  }

  /** x `[L, inputDims]`, expert ids `[L, k]` -> `[L, k, inputDims]` */
  forward(x: MxArray, ids: MxArray): MxArray {
    const gate = this.gateProj.forward(x, ids)
    const up = this.upProj.forward(x, ids)
    return this.downProj.forward(mx.fast.glu(gate, up, this.activation), ids)
  }
}
