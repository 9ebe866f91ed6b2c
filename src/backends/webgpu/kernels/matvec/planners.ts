import type { KernelOf } from "../../../ops.js"
import type { Operand } from "../../../program.js"
import type { Dispatch, KernelContext } from "../../dispatch.js"
import { downFewRows, gateUpFewRows } from "./experts.js"
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

export function matvecGatherMatmulSum(
  { format }: KernelOf<"gather_matmul_sum">,
  [x, ids, ...rest]: readonly Operand[],
  output: Operand,
  context: KernelContext,
): Dispatch[] | null {
  const [scores, residual] = rest.slice(-2)
  return downFewRows({ x, ids, format, weights: rest.slice(0, -2), scores, residual, output }, context)
}
