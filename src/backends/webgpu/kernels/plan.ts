import { BackendError } from "../../backend.js"
import type { KernelKind, KernelOf } from "../../ops.js"
import type { Instruction, Operand } from "../../program.js"
import type { Dispatch, KernelContext } from "../dispatch.js"
import { categorical } from "./categorical.js"
import { argmax, topK } from "./choose.js"
import { copy } from "./copy.js"
import { binary, swiglu, takeAlongAxis, weightedSum } from "./elementwise.js"
import { gateUpFewRows } from "./matvec/experts.js"
import { fewRows } from "./matvec/products.js"
import { anyGatherMatmul, anyGatherSwiglu, anyMatmul, embedding } from "./products.js"
import { reduce, rmsNorm, softmax } from "./rows.js"
import { unary } from "./unary.js"

/** The dispatches that compute one instruction. */
export type Planner<K extends KernelKind> = (
  op: KernelOf<K>,
  inputs: readonly Operand[],
  output: Operand,
  context: KernelContext,
) => Dispatch[]

const PLANNERS: { readonly [K in KernelKind]?: Planner<K> } = {
  copy,
  unary,
  binary,
  reduce,
  softmax,
  argmax,
  top_k: topK,
  take_along_axis: takeAlongAxis,
  categorical,
  embedding,
  rms_norm: rmsNorm,
  swiglu,
  weighted_sum: weightedSum,
  matmul: ({ format, residual }, [x, ...rest], output, context) => {
    const weights = residual ? rest.slice(0, -1) : rest
    const product = {
      x,
      norm: null,
      formats: [format],
      weights,
      residual: residual ? rest[rest.length - 1] : null,
      output,
    }
    return fewRows(product, context) ?? anyMatmul({ ...product, format }, context)
  },
  gather_matmul: ({ format }, [x, ids, ...weights], output, context) =>
    anyGatherMatmul({ x, ids, format, weights, output }, context),
  gather_swiglu: (op, inputs, output, context) => {
    const { gate, up, alpha, limit } = op
    const [x, ids, ...weights] = inputs
    return (
      gateUpFewRows({ x, norm: null, ids, formats: [gate, up], weights, alpha, limit, output }, context) ??
      anyGatherSwiglu(op, inputs, output, context)
    )
  },
}

export function plan({ op, inputs, output }: Instruction, context: KernelContext): Dispatch[] {
  const planner = PLANNERS[op.kind] as Planner<KernelKind> | undefined
  if (!planner) throw new BackendError(`webgpu has no kernel for ${op.kind}`)
  return planner(op, inputs, output, context)
}
