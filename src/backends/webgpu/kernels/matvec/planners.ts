import type { KernelOf, OperandsOf, ResultsOf } from "../../../../ir/operations.js"
import type { InstructionOf, Operand } from "../../../../ir/program.js"
import type { Dispatch, KernelContext } from "../../dispatch.js"
import { downFewRows } from "./down.js"
import { gateUpFewRows } from "./gate_up.js"
import { fewRows, fewRowsRouted } from "./products.js"
import { routeFewRows } from "./route.js"
import type { Attempt } from "../planner.js"

/** Planners of products for few rows. Each returns null for weights that it has no fast decoder for. */

export const matvecMatmul: Attempt<"matmul"> = (_, operands, { y }, context) =>
  fewRows(plainProduct(operands, y), context)

export const matvecNormMatmul: Attempt<"norm_matmul"> = ({ eps }, { x, norm, weights }, { y }, context) =>
  fewRows({ x, norm: { weight: norm, eps }, weights, residual: null, output: y }, context)

export const matvecRoute: Attempt<"route"> = (op, operands, results, context) =>
  routeFewRows(routeOf(op, operands, results), context)

export const matvecGatherGlu: Attempt<"gather_glu"> = ({ activation }, operands, { y }, context) =>
  gateUpFewRows({ ...operands, norm: null, activation, output: y }, context)

export const matvecNormGatherGlu: Attempt<"norm_gather_glu"> = (
  { eps, activation },
  { norm, ...operands },
  { y },
  context,
) => gateUpFewRows({ ...operands, norm: { weight: norm, eps }, activation, output: y }, context)

/**
 * A product that is one row, the `route` that reads it, and the `norm_gather_glu` of the experts chosen, in two
 * launches: see `RouteShares`.
 */
export function matvecRouted(
  product: InstructionOf<"matmul">,
  route: InstructionOf<"route">,
  gateUp: InstructionOf<"norm_gather_glu">,
  context: KernelContext,
): Dispatch[] | null {
  const { x, norm } = route.operands
  const { y } = product.results
  const { gate, up } = gateUp.operands
  const isChain = [
    [y, x],
    [x, gateUp.operands.x],
    [norm, gateUp.operands.norm],
    [route.results.ids, gateUp.operands.ids],
  ].every(([a, b]) => a.buffer === b.buffer && a.offset === b.offset)
  const [rows, K] = x.shape
  const isOneShape = [y, gateUp.operands.x].every(({ shape }) => shape[0] === rows && shape[1] === K)
  const { eps, activation } = gateUp.op
  if (!isChain || !isOneShape || eps !== route.op.eps) return null
  const chosen = routeOf(route.op, route.operands, route.results)
  const first = fewRowsRouted(plainProduct(product.operands, y), chosen, context)
  if (!first) return null
  const experts = { gate, up, activation, output: gateUp.results.y }
  const second = gateUpFewRows({ x, norm: chosen.norm, ids: first.router, ...experts }, context)
  return second && [...first.dispatches, ...second]
}

export const matvecGatherMatmulSum: Attempt<"gather_matmul_sum"> = (_, operands, { y }, context) =>
  downFewRows(operands, y, context)

function plainProduct({ x, weight, residual }: OperandsOf<"matmul", Operand>, output: Operand) {
  return { x, norm: null, weights: [weight], residual: residual ?? null, output }
}

function routeOf(
  { eps, k }: KernelOf<"route">,
  { x, norm, weight }: OperandsOf<"route", Operand>,
  results: ResultsOf<"route", Operand>,
) {
  return { x, norm: { weight: norm, eps }, k, weight, ...results }
}
