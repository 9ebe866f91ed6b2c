import type { KernelKind, KernelOf, OperandsOf, ResultsOf } from "../../../ir/operations.js"
import type { Operand } from "../../../ir/program.js"
import type { Dispatch, KernelContext } from "../dispatch.js"

/** The dispatches that compute one instruction. */
export type Planner<K extends KernelKind> = (
  op: KernelOf<K>,
  operands: OperandsOf<K, Operand>,
  results: ResultsOf<K, Operand>,
  context: KernelContext,
) => Dispatch[]

/** A planner for some formats, devices and sizes: null for others. */
export type Attempt<K extends KernelKind> = (...args: Parameters<Planner<K>>) => Dispatch[] | null
