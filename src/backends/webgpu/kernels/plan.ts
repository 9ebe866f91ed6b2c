import { BackendError } from "../../backend.js"
import type { KernelKind, KernelOf } from "../../ops.js"
import type { Instruction, Operand } from "../../program.js"
import type { Dispatch, KernelContext } from "../dispatch.js"
import { gateUpFewRows } from "./matvec/experts.js"
import { fewRows } from "./matvec/products.js"
import { unary } from "./unary.js"

/** The dispatches that compute one instruction. */
export type Planner<K extends KernelKind> = (
  op: KernelOf<K>,
  inputs: readonly Operand[],
  output: Operand,
  context: KernelContext,
) => Dispatch[]

const PLANNERS: { readonly [K in KernelKind]?: Planner<K> } = {
  unary,
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
    return fewRows(product, context)!
  },
  gather_swiglu: ({ gate, up, alpha, limit }, [x, ids, ...weights], output, context) =>
    gateUpFewRows({ x, norm: null, ids, formats: [gate, up], weights, alpha, limit, output }, context)!,
}

export function plan({ op, inputs, output }: Instruction, context: KernelContext): Dispatch[] {
  const planner = PLANNERS[op.kind] as Planner<KernelKind> | undefined
  if (!planner) throw new BackendError(`webgpu has no kernel for ${op.kind}`)
  return planner(op, inputs, output, context)
}
