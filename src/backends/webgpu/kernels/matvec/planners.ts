import type { KernelOf } from "../../../ops.js"
import type { InstructionOf, Operand } from "../../../program.js"
import type { Dispatch, KernelContext } from "../../dispatch.js"
import { downFewRows } from "./down.js"
import { gateUpFewRows } from "./gate_up.js"
import { fewRows, fewRowsRouted } from "./products.js"
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

/**
 * A product that is one row, the `route` that reads it, and the `norm_gather_swiglu` of the experts chosen, in two
 * launches: see `RouteShares`.
 */
export function matvecRouted(
  product: InstructionOf<"matmul">,
  route: InstructionOf<"route">,
  gateUp: InstructionOf<"norm_gather_swiglu">,
  context: KernelContext,
): Dispatch[] | null {
  const { eps, k, format } = route.op
  const [x, weight, ...weights] = route.inputs
  const isChain = [
    [product.output, x],
    [x, gateUp.inputs[0]],
    [weight, gateUp.inputs[1]],
    [route.output, gateUp.inputs[2]],
  ].every(([a, b]) => a.buffer === b.buffer && a.offset === b.offset)
  const [rows, K] = x.shape
  const isOneShape = [product.output, gateUp.inputs[0]].every(({ shape }) => shape[0] === rows && shape[1] === K)
  if (!isChain || !isOneShape || gateUp.op.eps !== eps) return null
  const norm = { weight, eps }
  const chosen = { x, norm, k, format, weights, output: route.output }
  const rest = product.inputs.slice(1)
  const { residual } = product.op
  const first = fewRowsRouted(
    {
      x: product.inputs[0],
      norm: null,
      formats: [product.op.format],
      weights: residual ? rest.slice(0, -1) : rest,
      residual: residual ? rest[rest.length - 1] : null,
      output: product.output,
    },
    chosen,
    context,
  )
  if (!first) return null
  const { gate, up, alpha, limit } = gateUp.op
  const experts = { formats: [gate, up] as const, weights: gateUp.inputs.slice(3), alpha, limit }
  const second = gateUpFewRows({ x, norm, ids: first.router, ...experts, output: gateUp.output }, context)
  return second && [...first.dispatches, ...second]
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
