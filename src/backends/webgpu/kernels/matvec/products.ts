import { componentsOf } from "../../../../ir/operands.js"
import type { WeightOf } from "../../../../ir/type.js"
import type { Operand } from "../../../../ir/program.js"
import { type Dispatch, type KernelContext, partOfWeight } from "../../dispatch.js"
import { UNIT } from "../../wgsl/formats/chunk.js"
import { sameChunk } from "./experts.js"
import { matvec, type Segment } from "./matvec.js"
import type { Route } from "./route.js"
import { contributionBytes, type RouteShares, shareRoute } from "./route_shares.js"
import { isStageable, isWide } from "./stage.js"
import { type Tuning, tune, workgroupBytes } from "./tuning.js"

interface FewRowsProduct {
  readonly x: Operand
  readonly norm: { readonly weight: Operand; readonly eps: number } | null
  readonly weights: readonly WeightOf<Operand>[]
  readonly residual: Operand | null
  /** The router that reads the product, which is one row then: see {@link fewRowsRouted}. */
  readonly router?: RouteShares
  readonly output: Operand
}

/**
 * Dispatches for a product with few rows (`matmul`, `norm_matmul`), or null where the format or the sizes need the
 * generic kernel.
 */
export function fewRows(product: FewRowsProduct, context: KernelContext): Dispatch[] | null {
  const { x, norm, weights, residual, router = null, output } = product
  const [L, K] = x.shape
  const chunk = sameChunk(weights, K, context)
  if (!chunk || !isStageable(x, norm)) return null
  const tuning = tuningOf(weights, K, context)
  const fits = (tile: number) =>
    workgroupBytes({
      chunk,
      K,
      slots: tile,
      totals: tuning.rows * tile,
      groups: tuning.groups,
      features: context.features,
    }) +
      (router ? contributionBytes(router, tuning.groups) : 0) <=
    context.features.maxWorkgroupStorage
  // Narrow subgroups: their compilers take long over large kernels.
  const tile = (isWide(context.features) ? [4, 2, 1] : [2, 1]).find((tile) => tile < 2 * L && fits(tile))
  if (!tile) return null
  const sizes = weights.map(({ weight }) => weight.shape[0]).join("+")
  const label = `matvec ${chunk.name} ${sizes}x${K}${norm ? ", norm" : ""}${residual ? ", residual" : ""}`
  let column = 0
  const segments = weights.flatMap((weight) => {
    const parts = context.ranges(componentsOf(weight)).map((range) => ({
      weight: partOfWeight(weight, range),
      column: column + range.start,
    }))
    column += weight.weight.shape[0]
    return parts
  })
  const launch = (segments: Segment[]) =>
    matvec({ label, x, norm, chunk, segments, residual, router, output, tuning, tile }, context)
  const whole = launch(segments)
  // Parts of a weight above the binding limit, and weights in too many buffers, get a dispatch each.
  const isWhole = segments.length === weights.length && context.fits(whole)
  return isWhole ? [whole] : segments.map((segment) => launch([segment]))
}

function tuningOf(weights: readonly WeightOf<Operand>[], K: number, { features }: KernelContext): Tuning {
  const N = weights.reduce((sum, { weight }) => sum + weight.shape[0], 0)
  const isEven = weights.every(({ weight }) => weight.shape[0] % 2 === 0)
  return tune(N, N > 4096 && isEven ? 2 : 1, features, K / UNIT)
}

/**
 * As {@link fewRows}, of one row, which also gives the shares of the logits of the router that reads the product. Null
 * too where groups have more than one row of the weight.
 */
export function fewRowsRouted(
  product: FewRowsProduct,
  route: Route,
  context: KernelContext,
): { dispatches: Dispatch[]; router: RouteShares } | null {
  const { x, weights, output } = product
  const { rows, tasks, groups } = tuningOf(weights, x.shape[1], context)
  if (x.shape[0] > 1 || rows > 1 || tasks > 1) return null
  const router = shareRoute(route, Math.ceil(output.shape[1] / groups), context)
  const dispatches = router && fewRows({ ...product, router }, context)
  return dispatches?.length === 1 ? { dispatches, router: router! } : null
}
