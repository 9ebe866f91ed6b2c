import type { Operand } from "../../../../ir/program.js"
import { ofRows } from "../../bindable.js"
import { type Dispatch, dispatch, type KernelContext, reads, type View, writes } from "../../dispatch.js"
import type { GpuFeatures } from "../../features.js"
import { cacheLayout } from "./cache_layout.js"
import { combine, type Partials } from "./combine.js"
import { type Division, fewRowsCode } from "./few_rows_code.js"
import { pooledSums, shuffledSums } from "./lanes.js"
import { pageParams, pageViews } from "./pages.js"
import { type Attention, describe, LOG2E, largestDivisor, mostKeys } from "./problem.js"
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

/** Most shares: one for so many visible keys. */
const KEYS_PER_SPLIT = 256

/** Most keys for one workgroup, where that many are visible. */
const MOST_KEYS = 4096

/** Workgroups that fill a large GPU twice. */
const WORKGROUPS = 256

/** Most floats of workgroup memory for sums across lanes and groups, and the bytes that all else takes at most. */
const POOL = 8192
const OTHER_BYTES = 12 << 10

/**
 * Attention that streams the cache once: a workgroup takes a row, the query heads of one key-value head, and a share of
 * the keys that the row sees. A few lanes hold a key and the matching part of every query; each such group keeps an online
 * softmax of its own, and they are merged at the end. Shares, where there are several, are combined by a second dispatch.
 */
export function fewRows(of: Attention, queries: Queries, context: KernelContext): Dispatch[] {
  const { rows, heads, kvHeads, headDim: D, keys, values, sinks, output } = of
  const { x, rotate, slots } = queries
  const layout = cacheLayout(keys, D)
  const division = divide(of, context.features)
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
    params: {
      ...pageParams(of),
      splits,
      // Here, as compilers would unroll loops over a constant, and long kernels take long to fetch.
      groups,
      row_width: x.shape.slice(1).reduce((a, b) => a * b, 1),
      scale: { f32: of.scale * LOG2E },
      rope_scale: { f32: rotate?.scale ?? 1 },
    },
    enable: context.features.subgroups ? ["subgroups"] : [],
    workgroups: ofRows(output, (rows) => [splits, kvHeads * chunks, rows]),
    code: (v) => fewRowsCode(of, division, layout, v),
  })
  return partials ? [first, combine(of, partials)] : [first]
}

function divide(of: Attention, { subgroups, maxWorkgroupStorage }: GpuFeatures): Division {
  const { rows, heads, kvHeads, headDim: D } = of
  const limit = subgroups ? Math.min(subgroups.min, 16) : 8
  let lanes = 1
  while (2 * lanes <= limit && D % (16 * lanes) === 0) lanes *= 2
  const width = D / lanes
  const shared = heads / kvHeads
  const most = mostKeys(of)
  // Short ranges are not split, but heads are: what takes time there is the merge.
  const spread = most > KEYS_PER_SPLIT ? shared : Math.ceil((shared * rows * kvHeads) / 64)
  const chunk = largestDivisor(shared, Math.max(1, Math.min(spread, Math.floor(64 / width))))
  const chunks = shared / chunk
  const threads = Math.min(256, 32 * lanes)
  const groups = threads / lanes
  const filling = Math.ceil(WORKGROUPS / (rows * kvHeads * chunks))
  const room = Math.min(POOL, (maxWorkgroupStorage - OTHER_BYTES) / 4)
  const merged = largestDivisor(chunk, Math.max(1, Math.floor(room / (groups * D))))
  return {
    lanes,
    width,
    chunk,
    chunks,
    threads,
    groups,
    merged,
    unroll: subgroups ? 2 : 1,
    sums: subgroups ? shuffledSums(chunk, lanes) : pooledSums(chunk, lanes, threads),
    pool: Math.max(merged * groups * D, subgroups ? 0 : chunk * threads),
    splits: Math.min(Math.ceil(most / KEYS_PER_SPLIT), Math.max(filling, Math.ceil(most / MOST_KEYS))),
    hasSubgroups: subgroups !== null,
  }
}
