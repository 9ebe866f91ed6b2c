import type { GpuFeatures } from "../../features.js"
import type { CacheLayout } from "./cache_layout.js"
import { type LaneMath, laneMath } from "./lane_math.js"
import { type LaneSums, pooledSums, shuffledSums } from "./lanes.js"
import { type Attention, largestDivisor, mostKeys } from "./problem.js"

/** How workgroups and their threads share the work. */
export interface Division {
  /** Threads that hold a key together, and the elements that each holds. */
  readonly lanes: number
  readonly width: number
  /** Query heads of a workgroup, and workgroups for the query heads of a key-value head. */
  readonly chunk: number
  readonly chunks: number
  readonly threads: number
  /** Groups of lanes: keys at a time, times so many that are unrolled. */
  readonly groups: number
  readonly unroll: number
  /** Shares of a row's keys. */
  readonly splits: number
  /** Whether the last share is the row's new key and value alone: to encode them takes as long as a share. */
  readonly isNewApart: boolean
  readonly sums: LaneSums
  readonly math: LaneMath
  /** Heads whose groups are merged at a time. */
  readonly merged: number
  /** Floats of workgroup memory for the sums across lanes, and across groups. */
  readonly pool: number
  readonly hasSubgroups: boolean
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
 * For few rows, each of which streams the cache for itself.
 *
 * @param appends whether rows bring a new key and value along
 */
export function divide(of: Attention, layout: CacheLayout, features: GpuFeatures, appends: boolean): Division {
  const { subgroups, maxWorkgroupStorage } = features
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
  const shares = Math.min(Math.ceil(most / KEYS_PER_SPLIT), Math.max(filling, Math.ceil(most / MOST_KEYS)))
  const isNewApart = appends && layout.codes !== null && shares > 1
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
    math: laneMath(layout, width, features),
    pool: Math.max(merged * groups * D, subgroups ? 0 : chunk * threads),
    splits: shares + Number(isNewApart),
    isNewApart,
    hasSubgroups: subgroups !== null,
  }
}
