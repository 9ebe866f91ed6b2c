import { BackendError } from "../../backend.js"
import type { KernelKind, KernelOf } from "../../ops.js"
import type { Instruction, Operand } from "../../program.js"
import type { Dispatch, KernelContext } from "../dispatch.js"
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
}

export function plan({ op, inputs, output }: Instruction, context: KernelContext): Dispatch[] {
  const planner = PLANNERS[op.kind] as Planner<KernelKind> | undefined
  if (!planner) throw new BackendError(`webgpu has no kernel for ${op.kind}`)
  return planner(op, inputs, output, context)
}
