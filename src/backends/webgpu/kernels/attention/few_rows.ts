import type { Operand } from "../../../../ir/program.js"
import { ofRows } from "../../bindable.js"
import { type Dispatch, dispatch, type KernelContext, reads, type View, writes } from "../../dispatch.js"
import { PARTIAL_SOFTMAX } from "../../wgsl/partial_softmax.js"
import { cacheLayout } from "./cache_layout.js"
import { combine, type Partials } from "./combine.js"
import { divide } from "./division.js"
import { fewRowsCode } from "./few_rows_code.js"
import { pageParams, pageViews } from "./pages.js"
import { type Attention, describe, LOG2E } from "./problem.js"
import type { Rotate } from "./rotated.js"

/** Where queries come from. */
export interface Queries {
  /** float32 rows, each starting with the query heads. */
  readonly x: Operand
  /** Rotates the queries as they are read. */
  readonly rotate: Rotate | null
  /** Rows go on with a new key and value, which are put into these slots: for rows that share no sequence. */
  readonly slots: Operand | null
}

/**
 * Attention that streams the cache once: a workgroup takes a row, the query heads of one key-value head, and a share of
 * the keys that the row sees. A few lanes hold a key and the matching part of every query; each such group keeps an online
 * softmax of its own, and they are merged at the end. Shares, where there are several, are combined by a second dispatch.
 */
export function fewRows(of: Attention, queries: Queries, context: KernelContext): Dispatch[] {
  const { rows, heads, kvHeads, headDim: D, keys, values, sinks, output } = of
  const { x, rotate, slots } = queries
  const layout = cacheLayout(keys, D)
  const division = divide(of, layout, context.features, slots !== null)
  const { chunks, groups, splits } = division
  const partials: Partials | null =
    splits > 1
      ? {
          splits,
          sums: context.scratch("float32", [rows, heads, splits, D]),
          weights: context.scratch("float32", [rows, heads, splits, 2]),
        }
      : null
  const views: Record<string, View> = {
    x: reads(x, "f32"),
    keys: layout.view(keys, slots !== null),
    values: layout.view(values, slots !== null),
    ...pageViews(of),
    ...(rotate ? { frequencies: reads(rotate.frequencies, "f32") } : {}),
    ...(slots ? { slots: reads(slots, "u32") } : {}),
    ...(partials
      ? { sums: writes(partials.sums, "f32"), weights: writes(partials.weights, "vec2<f32>") }
      : { out: writes(output, "f32"), ...(sinks ? { sinks: reads(sinks, "u32") } : {}) }),
  }
  const first = dispatch({
    label: `attention ${describe(of)}${rotate ? " rope" : ""}${slots ? " append" : ""}`,
    views,
    uses: [PARTIAL_SOFTMAX],
    params: {
      ...pageParams(of),
      splits,
      // Here, as compilers would unroll loops over a constant, and long kernels take long to fetch.
      groups,
      head_dim: D,
      row_width: x.shape.slice(1).reduce((a, b) => a * b, 1),
      scale: { f32: of.scale * LOG2E },
      rope_scale: { f32: rotate?.scale ?? 1 },
    },
    enable: [...division.math.enable, ...(context.features.subgroups ? (["subgroups"] as const) : [])],
    workgroups: ofRows(output, (rows) => [splits, kvHeads * chunks, rows]),
    code: (v) => fewRowsCode(of, division, layout, v),
  })
  return partials ? [first, combine(of, partials)] : [first]
}
