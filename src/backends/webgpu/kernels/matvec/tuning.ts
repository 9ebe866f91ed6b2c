import type { GpuFeatures } from "../../features.js"
import type { ChunkFormat } from "../../wgsl/formats/chunk.js"
import { LANES, normBytes, rowVectors } from "./stage.js"
import { reductionBytes } from "./stream.js"

/** Shape of the work of a mat-vec kernel. */
export interface Tuning {
  /** Weight rows of one task. */
  readonly rows: number
  /** Groups of lanes per workgroup. */
  readonly groups: number
  /** Tasks of each group, one after the other. */
  readonly tasks: number
}

/**
 * Groups of lanes per workgroup, and in all: one workgroup for each of the 132 multiprocessors of an H100, so that each
 * stages its activations once. Devices with fewer or more multiprocessors take more or fewer rounds of the same.
 */
const GROUPS = 22
const GROUPS_IN_ALL = 132 * GROUPS

/**
 * The tuning for `N` rows in tasks of `rows`.
 *
 * @param units threads that staging has work for: one group more is taken if that saves it a turn
 */
export function tune(N: number, rows: number, { subgroups, maxInvocations }: GpuFeatures, units: number): Tuning {
  const turns = (groups: number) => Math.ceil(units / (groups * LANES))
  const most = GROUPS + Number(turns(GROUPS + 1) < turns(GROUPS))
  const groups = subgroups && subgroups.min >= LANES ? Math.min(most, Math.floor(maxInvocations / LANES)) : 2
  return { rows, groups, tasks: Math.max(1, Math.ceil(N / rows / GROUPS_IN_ALL)) }
}

/** Workgroup memory that a mat-vec kernel takes, in bytes. */
export function workgroupBytes(of: {
  readonly chunk: ChunkFormat
  readonly K: number
  readonly slots: number
  readonly totals: number
  readonly groups: number
  readonly features: GpuFeatures
}): number {
  const threads = of.groups * LANES
  const { chunk, K, slots, totals, features } = of
  const staged = slots * rowVectors(chunk, K) * 16
  return staged + normBytes(threads, slots, features) + reductionBytes(threads, totals, features)
}
