import * as mx from "../array/mx.js"
import type { MxArray } from "../array/mx_array.js"
import { Module, type WeightSource } from "./module.js"

/** A table of rows, dense or quantized. */
export class Embedding extends Module {
  private weight!: mx.Weight

  constructor(
    private readonly numEmbeddings: number,
    private readonly dims: number,
  ) {
    super()
  }

  override load(source: WeightSource, path: string): void {
    this.weight = source.takeWeight(path, [this.numEmbeddings, this.dims])
  }

  /** ids `[L]` -> `[L, dims]` */
  forward(ids: MxArray): MxArray {
    return mx.embedding(ids, this.weight)
  }

  /** As the output head of a model with tied embeddings: `[L, dims]` -> `[L, numEmbeddings]`. */
  asLinear(x: MxArray): MxArray {
    return mx.matmul(x, this.weight)
  }
}
