import type { FusedKind } from "../ir/operations.js"
import type { Roots } from "../ir/value.js"
import { fuseGatherMatmulSum } from "./passes/fuse_gather_matmul_sum.js"
import { fuseMatmul } from "./passes/fuse_matmul.js"
import { fuseNormGatherGlu } from "./passes/fuse_norm_gather_glu.js"
import { fuseNormMatmul } from "./passes/fuse_norm_matmul.js"
import { fuseRopeAttention } from "./passes/fuse_rope_attention.js"
import { fuseRoute } from "./passes/fuse_route.js"
import { fuseGlu } from "./passes/fuse_glu.js"
import { type Note, type Pass, rewrite } from "./rewrite.js"

/** In this order: `route` leaves the norm to the experts alone. */
export const PASSES: readonly Pass[] = [
  fuseMatmul,
  fuseGlu,
  fuseRoute,
  fuseNormGatherGlu,
  fuseGatherMatmulSum,
  fuseNormMatmul,
  fuseRopeAttention,
]

export interface OptimiseOptions {
  /** The fused operations to make, beside those that every backend has. */
  readonly fusions?: ReadonlySet<FusedKind>
  /** Names of passes to leave out. */
  readonly without?: readonly string[]
}

/** The optimised graph, and what each pass did or why it did not. */
export interface Optimised extends Roots {
  /** The passes that ran, in order. */
  readonly passes: readonly string[]
  readonly notes: readonly Note[]
}

/**
 * The same outputs and effects from fewer, larger kernels. The graph given is not changed: it is the oracle of this
 * function.
 */
export function optimise(traced: Roots, { fusions = new Set(), without = [] }: OptimiseOptions = {}): Optimised {
  const passes = PASSES.filter(({ name, makes }) => (makes === null || fusions.has(makes)) && !without.includes(name))
  let roots = traced
  const notes: Note[] = []
  for (const pass of passes) {
    const { outputs, effects, notes: added } = rewrite(roots, pass)
    roots = { outputs, effects }
    notes.push(...added)
  }
  return { ...roots, passes: passes.map(({ name }) => name), notes }
}
