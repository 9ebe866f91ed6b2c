import { BackendError } from "../../backend.js"
import type { KernelKind } from "../../../ir/operations.js"
import { type Instruction, isKind, type Operand } from "../../../ir/program.js"
import type { Dispatch, KernelContext } from "../dispatch.js"
import { anyGatherMatmul, anyGatherGlu, anyMatmul, embedding } from "./any_format.js"
import { attention, ropeAttention } from "./attention/planners.js"
import { argmax, topK } from "./choose.js"
import { anyGatherMatmulSum, anyNormGatherGlu, anyNormMatmul, anyRoute } from "./composed.js"
import { copy } from "./copy.js"
import { binary, glu, takeAlongAxis, weightedSum } from "./elementwise.js"
import * as gemm from "./gemm/planners.js"
import { kvAppend } from "./kv_append.js"
import * as matvec from "./matvec/planners.js"
import { put, take } from "./move_rows.js"
import type { Attempt, Planner } from "./planner.js"
import { rope } from "./rope.js"
import { reduce, rmsNorm, softmax } from "./rows.js"
import { adjustLogits } from "./sampling/adjust_logits.js"
import { sample } from "./sampling/sample.js"
import { unary } from "./unary.js"

/** Rows up to which kernels that stream weights past a few rows win over tiles of many. */
const FEW_ROWS = 8

/** The kernel for few rows or for many, or the one that takes every format and few bindings. */
function byRows<K extends KernelKind & RowKind>(few: Attempt<K> | null, many: Attempt<K>, any: Planner<K>): Planner<K> {
  return (op, operands, results, context) => {
    const { x } = operands as unknown as { x: Operand }
    const attempt = x.shape[0] <= FEW_ROWS ? few : many
    const dispatches = attempt?.(op, operands, results, context)
    return dispatches?.every(context.fits) ? dispatches : any(op, operands, results, context)
  }
}

/** What multiplies rows `x`. */
type RowKind =
  | "matmul"
  | "gather_matmul"
  | "gather_glu"
  | "norm_matmul"
  | "route"
  | "norm_gather_glu"
  | "gather_matmul_sum"

const PLANNERS: { readonly [K in KernelKind]: Planner<K> } = {
  copy,
  unary,
  binary,
  reduce,
  softmax,
  argmax,
  top_k: topK,
  take_along_axis: takeAlongAxis,
  take,
  put,
  adjust_logits: adjustLogits,
  sample,
  embedding,
  rms_norm: rmsNorm,
  rope,
  kv_append: kvAppend,
  attention,
  rope_attention: ropeAttention,
  glu,
  weighted_sum: weightedSum,
  matmul: byRows(matvec.matvecMatmul, gemm.gemmMatmul, (_, operands, { y }, context) =>
    anyMatmul(operands, y, context),
  ),
  gather_matmul: byRows(null, gemm.gemmGatherMatmul, (_, operands, { y }, context) =>
    anyGatherMatmul(operands, y, context),
  ),
  gather_glu: byRows(matvec.matvecGatherGlu, gemm.gemmGatherGlu, anyGatherGlu),
  norm_matmul: byRows(matvec.matvecNormMatmul, gemm.gemmNormMatmul, anyNormMatmul),
  route: byRows(matvec.matvecRoute, gemm.gemmRoute, anyRoute),
  norm_gather_glu: byRows(matvec.matvecNormGatherGlu, gemm.gemmNormGatherGlu, anyNormGatherGlu),
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
  const [second, third] = next
  if (isKind(instruction, "matmul") && isKind(second, "route") && isKind(third, "norm_gather_glu")) {
    const dispatches = matvec.matvecRouted(instruction, second, third, context)
    if (dispatches?.every(context.fits)) return { dispatches, count: 3 }
  }
  const { op, operands, results } = instruction
  // TypeScript cannot see that the key and the operands belong together.
  const planner = PLANNERS[op.kind] as ((...of: unknown[]) => Dispatch[]) | undefined
  if (!planner) throw new BackendError(`webgpu has no kernel for ${op.kind}`)
  return { dispatches: planner(op, operands, results, context), count: 1 }
}
