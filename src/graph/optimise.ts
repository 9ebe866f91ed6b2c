import type { FusedKind } from "../backends/ops.js"
import type { Value } from "./ir.js"
import { fuseGatherMatmulSum } from "./passes/fuse_gather_matmul_sum.js"
import { fuseMatmul } from "./passes/fuse_matmul.js"
import { fuseNormGatherSwiglu } from "./passes/fuse_norm_gather_swiglu.js"
import { fuseNormMatmul } from "./passes/fuse_norm_matmul.js"
import { fuseRopeAttention } from "./passes/fuse_rope_attention.js"
import { fuseRoute } from "./passes/fuse_route.js"
import { fuseSwiglu } from "./passes/fuse_swiglu.js"
import type { Pass, Roots } from "./rewrite.js"

/** For every backend. */
const PASSES: readonly Pass[] = [fuseMatmul, fuseSwiglu]

/** For the backends that ask for what they make, in this order: `route` leaves the norm to the experts alone. */
const FUSIONS: readonly (readonly [FusedKind, Pass])[] = [
  ["route", fuseRoute],
  ["norm_gather_swiglu", fuseNormGatherSwiglu],
  ["gather_matmul_sum", fuseGatherMatmulSum],
  ["norm_matmul", fuseNormMatmul],
  ["rope_attention", fuseRopeAttention],
]

/**
 * The same outputs and effects from fewer, larger kernels. The graph given is not changed: it is the oracle of this
 * function.
 *
 * @param effects values computed for what they write; those of the result may be fewer, where one does the work of several
 * @param fusions the fused operations to make, beside those that every backend has
 */
export function optimise(
  outputs: readonly Value[],
  effects: readonly Value[] = [],
  fusions: ReadonlySet<FusedKind> = new Set(),
): Roots {
  const passes = [...PASSES, ...FUSIONS.filter(([kind]) => fusions.has(kind)).map(([, pass]) => pass)]
  return passes.reduce<Roots>((roots, pass) => pass(roots), { outputs, effects })
}
