import { BackendError } from "../../backend.js"
import type { KernelKind, KernelOf } from "../../ops.js"
import type { Instruction, InstructionOf, Operand } from "../../program.js"
import type { Dispatch, KernelContext } from "../dispatch.js"
import { anyGatherMatmul, anyGatherSwiglu, anyMatmul, embedding } from "./any_format.js"
import { attention, ropeAttention } from "./attention/planners.js"
import { categorical } from "./categorical.js"
import { argmax, topK } from "./choose.js"
import { anyGatherMatmulSum, anyNormGatherSwiglu, anyNormMatmul, anyRoute } from "./composed.js"
import { copy } from "./copy.js"
import { binary, swiglu, takeAlongAxis, weightedSum } from "./elementwise.js"
import * as gemm from "./gemm/planners.js"
import { kvAppend } from "./kv_append.js"
import * as matvec from "./matvec/planners.js"
import { rope } from "./rope.js"
import { reduce, rmsNorm, softmax } from "./rows.js"
import { unary } from "./unary.js"

/** The dispatches that compute one instruction. */
export type Planner<K extends KernelKind> = (
  op: KernelOf<K>,
  inputs: readonly Operand[],
  output: Operand,
  context: KernelContext,
) => Dispatch[]

/** A planner for some formats, devices and sizes: null for others. */
type Attempt<K extends KernelKind> = (...args: Parameters<Planner<K>>) => Dispatch[] | null

/** Rows up to which kernels that stream weights past a few rows win over tiles of many. */
const FEW_ROWS = 8

/** The kernel for few rows or for many, or the one that takes every format and few bindings. */
function byRows<K extends KernelKind>(few: Attempt<K> | null, many: Attempt<K>, any: Planner<K>): Planner<K> {
  return (op, inputs, output, context) => {
    const attempt = inputs[0].shape[0] <= FEW_ROWS ? few : many
    const dispatches = attempt?.(op, inputs, output, context)
    return dispatches?.every(context.fits) ? dispatches : any(op, inputs, output, context)
  }
}

const PLANNERS: { readonly [K in KernelKind]: Planner<K> } = {
  copy,
  assign: (_, [, x], output) => copy(_, [x], output),
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
  rope,
  kv_append: kvAppend,
  attention,
  rope_attention: ropeAttention,
  swiglu,
  weighted_sum: weightedSum,
  matmul: byRows(matvec.matvecMatmul, gemm.gemmMatmul, (op, [x, ...rest], output, context) => {
    const weights = op.residual ? rest.slice(0, -1) : rest
    const residual = op.residual ? rest[rest.length - 1] : null
    return anyMatmul({ x, format: op.format, weights, residual, output }, context)
  }),
  gather_matmul: byRows(null, gemm.gemmGatherMatmul, ({ format }, [x, ids, ...weights], output, context) =>
    anyGatherMatmul({ x, ids, format, weights, output }, context),
  ),
  gather_swiglu: byRows(matvec.matvecGatherSwiglu, gemm.gemmGatherSwiglu, anyGatherSwiglu),
  norm_matmul: byRows(matvec.matvecNormMatmul, gemm.gemmNormMatmul, anyNormMatmul),
  route: byRows(matvec.matvecRoute, gemm.gemmRoute, anyRoute),
  norm_gather_swiglu: byRows(matvec.matvecNormGatherSwiglu, gemm.gemmNormGatherSwiglu, anyNormGatherSwiglu),
  gather_matmul_sum: byRows(matvec.matvecGatherMatmulSum, gemm.gemmGatherMatmulSum, anyGatherMatmulSum),
}

/** What runs for an instruction, and for further ones after it that it covers too. */
export interface Planned {
  readonly dispatches: readonly Dispatch[]
  /** Instructions done. */
  readonly count: number
}

/** @param next the instructions after it */
export function plan(instruction: Instruction, next: readonly Instruction[], context: KernelContext): Planned {
  const { op, inputs, output } = instruction
  const [second, third] = next
  if (isKind(instruction, "matmul") && isKind(second, "route") && isKind(third, "norm_gather_swiglu")) {
    const dispatches = matvec.matvecRouted(instruction, second, third, context)
    if (dispatches?.every(context.fits)) return { dispatches, count: 3 }
  }
  const planner = PLANNERS[op.kind] as Planner<KernelKind> | undefined
  if (!planner) throw new BackendError(`webgpu has no kernel for ${op.kind}`)
  return { dispatches: planner(op, inputs, output, context), count: 1 }
}

function isKind<K extends KernelKind>(instruction: Instruction | undefined, kind: K): instruction is InstructionOf<K> {
  return instruction?.op.kind === kind
}
