import type { KernelOf } from "../../../ops.js"
import type { InstructionOf, Operand } from "../../../program.js"
import type { Dispatch, KernelContext } from "../../dispatch.js"
import { downFewRows } from "./down.js"
import { gateUpFewRows } from "./gate_up.js"
import { fewRows } from "./products.js"
import { routeFewRows } from "./route.js"

/** Planners of products for few rows. Each returns null for weights that it has no fast decoder for. */

export function matvecMatmul(
  { format, residual }: KernelOf<"matmul">,
  [x, ...rest]: readonly Operand[],
  output: Operand,
  context: KernelContext,
): Dispatch[] | null {
  const weights = residual ? rest.slice(0, -1) : rest
  const added = residual ? rest[rest.length - 1] : null
  return fewRows({ x, norm: null, formats: [format], weights, residual: added, output }, context)
}

export function matvecNormMatmul(
  { eps, formats }: KernelOf<"norm_matmul">,
  [x, weight, ...weights]: readonly Operand[],
  output: Operand,
  context: KernelContext,
): Dispatch[] | null {
  return fewRows({ x, norm: { weight, eps }, formats, weights, residual: null, output }, context)
}

export function matvecRoute(
  { eps, k, format }: KernelOf<"route">,
  [x, weight, ...weights]: readonly Operand[],
  output: Operand,
  context: KernelContext,
): Dispatch[] | null {
  return routeFewRows({ x, norm: { weight, eps }, k, format, weights, output }, context)
}

export function matvecGatherSwiglu(
  { gate, up, alpha, limit }: KernelOf<"gather_swiglu">,
  [x, ids, ...weights]: readonly Operand[],
  output: Operand,
  context: KernelContext,
): Dispatch[] | null {
  return gateUpFewRows({ x, norm: null, ids, formats: [gate, up], weights, alpha, limit, output }, context)
}

export function matvecNormGatherSwiglu(
  { eps, gate, up, alpha, limit }: KernelOf<"norm_gather_swiglu">,
  [x, weight, ids, ...weights]: readonly Operand[],
  output: Operand,
  context: KernelContext,
): Dispatch[] | null {
  const norm = { weight, eps }
  return gateUpFewRows({ x, norm, ids, formats: [gate, up], weights, alpha, limit, output }, context)
}

/** `route`, and the `norm_gather_swiglu` of the experts that it chooses for the same single row, in one launch. */
export function matvecRouteGateUp(
  route: InstructionOf<"route">,
  gateUp: InstructionOf<"norm_gather_swiglu">,
  context: KernelContext,
): Dispatch[] | null {
  const { eps, k, format } = route.op
  const [x, weight, ...weights] = route.inputs
  const [ownX, ownWeight, ids, ...experts] = gateUp.inputs
  const isSame = [x, weight, route.output].every((operand, i) => startsAs(operand, [ownX, ownWeight, ids][i]))
  if (x.shape[0] > 1 || !isSame || gateUp.op.eps !== eps) return null
  const norm = { weight, eps }
  const { gate, up, alpha, limit } = gateUp.op
  const chosen = { x, norm, k, format, weights, output: route.output }
  const formats = [gate, up] as const
  return gateUpFewRows(
    { x, norm, ids: chosen, formats, weights: experts, alpha, limit, output: gateUp.output },
    context,
  )
}

function startsAs(a: Operand, b: Operand): boolean {
  return a.buffer === b.buffer && a.offset === b.offset
}

export function matvecGatherMatmulSum(
  { format }: KernelOf<"gather_matmul_sum">,
  [x, ids, ...rest]: readonly Operand[],
  output: Operand,
  context: KernelContext,
): Dispatch[] | null {
  const [scores, residual] = rest.slice(-2)
  return downFewRows({ x, ids, format, weights: rest.slice(0, -2), scores, residual, output }, context)
}
