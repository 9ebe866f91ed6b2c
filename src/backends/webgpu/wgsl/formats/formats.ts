import type { WeightOf } from "../../../../ir/type.js"
import type { Operand } from "../../../../ir/program.js"
import type { Quantization } from "../../../../tensor/quantization.js"
import { affine } from "./affine.js"
import { dense } from "./dense.js"
import type { WeightFormat } from "./format.js"
import { mxfp4 } from "./mxfp4.js"
import { mxfp8 } from "./mxfp8.js"
import { nvfp4 } from "./nvfp4.js"

/** A format for every mode of quantization. */
const FORMATS: {
  readonly [M in Quantization["mode"]]: (of: Quantization & { readonly mode: M }) => WeightFormat
} = {
  affine,
  mxfp4: () => mxfp4,
  mxfp8: () => mxfp8,
  nvfp4: () => nvfp4,
}

export function formatOf({ quantization, weight }: WeightOf<Operand>): WeightFormat {
  if (!quantization) return dense(weight.dtype)
  return (FORMATS[quantization.mode] as (of: Quantization) => WeightFormat)(quantization)
}

/** Whether one text reads all of some weights. */
export function areAlike(weights: readonly WeightOf<Operand>[]): boolean {
  const [first, ...others] = weights.map(formatOf)
  return others.every(({ name, groupSize }) => name === first.name && groupSize === first.groupSize)
}
