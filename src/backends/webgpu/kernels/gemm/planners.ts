import { sizeOf } from "../../../../tensor/shape.js"
import { componentsOf } from "../../../../ir/operands.js"
import type { Operand } from "../../../../ir/program.js"
import { ofElements, ofRows } from "../../bindable.js"
import { type Dispatch, type KernelContext, partOfWeight } from "../../dispatch.js"
import type { Codec, Weight } from "./codec.js"
import { groupRows } from "./groups.js"
import { codecFor, columnsPerTile, shapeN, type TiledProduct, tiledProduct } from "./product.js"
import { expertsOfLogits, normRows, sumSlices } from "./rows.js"
import { type Tile, tilesFor } from "./tiles.js"
import { sumOfSlots } from "../elementwise.js"
import { type Grouped, groupedFewRows } from "../matvec/grouped.js"
import type { Attempt } from "../planner.js"

/** Rows an expert, on average, up to which weights are streamed past them. */
const FEW_PER_EXPERT = 4

/** Planners of products for many rows. Each returns null for weights that it has no fast decoder for. */

export const gemmMatmul: Attempt<"matmul"> = (_, { x, weight, residual }, { y }, context) => {
  const chosen = choose([[weight]], x, x.shape[0], false, context)
  return chosen && dense(x, [weight], chosen, residual, y, context)
}

export const gemmNormMatmul: Attempt<"norm_matmul"> = ({ eps }, { x, norm, weights }, { y }, context) => {
  const each = weights.map((weight) => [weight])
  const chosen = choose(each, x, x.shape[0], false, context)
  if (!chosen) return null
  const normed = context.scratch(chosen.tile.matrix ? "float16" : "float32", x.shape, x.rows)
  return [normRows(x, norm, eps, normed), ...dense(normed, weights, chosen, undefined, y, context)]
}

/** Always in float32: the choice of experts hangs on small differences. */
export const gemmRoute: Attempt<"route"> = ({ eps }, { x, norm, weight }, { ids, scores }, context) => {
  const chosen = choose([[weight]], x, x.shape[0], true, context)
  if (!chosen) return null
  const normed = context.scratch("float32", x.shape, x.rows)
  const E = shapeN(weight)
  const rows = ofRows(x, (rows) => rows)
  const slices = slicesFor(chosen.tile, x.shape[0], E, x.shape[1])
  const logits = context.scratch("float32", [slices, x.shape[0], E])
  return [
    normRows(x, norm, eps, normed),
    ...products({ x: normed, weights: [weight], out: logits, columns: E, column: 0, rows, slices }, chosen, context),
    expertsOfLogits(logits, slices, ids, scores),
  ]
}

export const gemmGatherMatmul: Attempt<"gather_matmul"> = (_, { x, ids, weight }, { y }, context) =>
  grouped(x, ids, [weight], undefined, y, context)

export const gemmGatherMatmulSum: Attempt<"gather_matmul_sum"> = (
  _,
  { x, ids, weight, scores, residual },
  { y },
  context,
) => {
  const products = context.scratch("float32", [...ids.shape, shapeN(weight)])
  const dispatches = grouped(x, ids, [weight], undefined, products, context)
  return dispatches && [...dispatches, sumOfSlots(products, scores, residual, y)]
}

export const gemmGatherGlu: Attempt<"gather_glu"> = ({ activation }, { x, ids, gate, up }, { y }, context) =>
  grouped(x, ids, [gate, up], activation, y, context)

export const gemmNormGatherGlu: Attempt<"norm_gather_glu"> = (
  { eps, activation },
  { x, norm, ids, gate, up },
  { y },
  context,
) => {
  const few = groupedOfFew({ x, norm: { weight: norm, eps }, ids, weights: [gate, up], activation, output: y }, context)
  if (few) return few
  const chosen = choose([[gate, up]], x, rowsPerExpert(ids, gate), false, context)
  if (!chosen) return null
  const normed = context.scratch(chosen.tile.matrix ? "float16" : "float32", x.shape, x.rows)
  const dispatches = grouped(normed, ids, [gate, up], activation, y, context)
  return dispatches && [normRows(x, norm, eps, normed), ...dispatches]
}

interface Chosen {
  readonly tile: Tile
  readonly codec: (weights: readonly Weight[]) => Codec
}

/** The best tile that all products' weights can take. */
function choose(
  products: readonly (readonly Weight[])[],
  x: Operand,
  rows: number,
  exact: boolean,
  { features }: KernelContext,
): Chosen | null {
  const K = x.shape[x.shape.length - 1]
  const tile = tilesFor(features, rows, exact).find((tile) =>
    products.every((weights) => codecFor(tile, weights, x, K)),
  )
  return tile ? { tile, codec: (weights) => codecFor(tile, weights, x, K)! } : null
}

/** The launches of one product: one per part of the weights that fits a binding. */
function products(of: TiledProduct, { tile, codec }: Chosen, context: KernelContext): Dispatch[] {
  return context.ranges([...of.weights].flatMap(componentsOf)).map((range) => {
    const weights = of.weights.map((weight) => partOfWeight(weight, range)) as unknown as TiledProduct["weights"]
    const place = of.groups ? { firstExpert: range.start } : { column: of.column + range.start }
    return tiledProduct({ ...of, ...place, weights }, tile, codec(weights))
  })
}

/** Products with each weight, side by side. */
function dense(
  x: Operand,
  weights: readonly Weight[],
  chosen: Chosen,
  residual: Operand | undefined,
  output: Operand,
  context: KernelContext,
): Dispatch[] {
  const [mostRows, columns] = output.shape
  const rows = ofRows(output, (rows) => rows)
  const slices = slicesFor(chosen.tile, mostRows, columns, x.shape[1])
  const out = slices === 1 ? output : context.scratch("float32", [slices, mostRows, columns])
  let column = 0
  const launched = weights.flatMap((weight) => {
    const of = { x, weights: [weight] as const, residual, out, columns, column, rows, slices }
    column += shapeN(weight)
    return products(of, chosen, context)
  })
  return slices === 1 ? launched : [...launched, sumSlices(out, slices, output)]
}

/** Each slot's row times its expert's weight. */
function grouped(
  x: Operand,
  ids: Operand,
  weights: TiledProduct["weights"],
  activation: TiledProduct["activation"],
  output: Operand,
  context: KernelContext,
): Dispatch[] | null {
  const few = groupedOfFew({ x, norm: null, ids, weights, activation, output }, context)
  if (few) return few
  const [experts] = weights[0].weight.shape
  const chosen = choose([weights], x, rowsPerExpert(ids, weights[0]), false, context)
  if (!chosen) return null
  const slotsPerRow = x.shape.length === 2 ? ids.shape[1] : 1
  const { groups, dispatch } = groupRows(ids, experts, chosen.tile.bm, slotsPerRow, context)
  const rows = ofElements(ids, (slots) => slots)
  const of = { x, weights, activation, groups, out: output, columns: shapeN(weights[0]), column: 0, rows, slices: 1 }
  return [dispatch, ...products(of, chosen, context)]
}

/** The same, where experts have a few rows each and the device takes it. */
function groupedOfFew(of: Grouped, context: KernelContext): Dispatch[] | null {
  const dispatches = rowsPerExpert(of.ids, of.weights[0]) <= FEW_PER_EXPERT ? groupedFewRows(of, context) : null
  return dispatches?.every(context.fits) ? dispatches : null
}

function rowsPerExpert(ids: Operand, { weight }: Weight): number {
  return sizeOf(ids.shape) / weight.shape[0]
}

/** Workgroups that keep a large device busy; more where each does little at a time. */
function slicesFor(tile: Tile, rows: number, columns: number, K: number): number {
  const tiles = Math.ceil(rows / tile.bm) * Math.ceil(columns / columnsPerTile(tile, 1))
  const steps = Math.ceil(K / tile.bk)
  const wanted = Math.max(1, Math.min(Math.floor((tile.bm <= 32 ? 512 : 256) / tiles), Math.floor(steps / 4)))
  // No slice is empty.
  return Math.ceil(steps / Math.ceil(steps / wanted))
}
