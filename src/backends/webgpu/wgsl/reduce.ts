import { type GpuFeatures, shuffles } from "../features.js"
import type { Declaration } from "./declaration.js"
import { ORDER } from "./ranking.js"

/** Below every finite float: what the lanes without a value bring to a maximum. WGSL may assume that infinities do not occur. */
export const LOWEST = "-3.4028234e38"

export type ReductionFn = "sum" | "max" | "argmax"

/** How a kernel reduces over its workgroup. */
export interface Reductions {
  /** The functions, for the dispatch's `uses`. */
  readonly uses: readonly Declaration[]
  /** Entry point parameters to put after the kernel's own. */
  readonly builtins: string
  /** WGSL (f32) for the sum of `value` (f32) over the workgroup, the same in every lane. */
  sum(value: string): string
  /** WGSL (f32) for the largest `value`. */
  max(value: string): string
  /** WGSL (u32) for the lowest of the indices with the largest `value`. */
  argmax(value: string, index: string): string
}

/**
 * Reductions over a workgroup of `threads` lanes (a power of two): first in each subgroup where there are such, of any
 * size, then through workgroup memory. Calls are barriers: every lane must come to them. The kernel's local index must
 * be called `lid`. Declares only the functions asked for.
 */
export function reductions(features: GpuFeatures, threads: number, fns: readonly ReductionFn[]): Reductions {
  const write = features.subgroups ? withSubgroups : withoutSubgroups
  const index = features.subgroups ? "lid, sg_size, sg_lane" : "lid"
  return {
    uses: [{ text: write(threads, fns), needs: fns.includes("argmax") ? [ORDER] : [], enable: shuffles(features) }],
    builtins: features.subgroups
      ? ", @builtin(subgroup_size) sg_size: u32, @builtin(subgroup_invocation_id) sg_lane: u32"
      : "",
    sum: (value) => `workgroup_sum(${value}, ${index})`,
    max: (value) => `workgroup_max(${value}, ${index})`,
    argmax: (value, i) => `workgroup_argmax(${value}, ${i}, ${index})`,
  }
}

const COMBINE = { sum: "a + b", max: "max(a, b)" } as const
const SUBGROUP = { sum: "subgroupAdd", max: "subgroupMax" } as const
const IS_BETTER = "goes_before(b, j, a, i)"

/** Lane `s * size` of each subgroup leaves its result in slot `s`; every lane then combines the slots. */
function withSubgroups(threads: number, fns: readonly ReductionFn[]): string {
  const parameters = "lid: u32, sg_size: u32, sg_lane: u32"
  const slots = `(${threads}u + sg_size - 1u) / sg_size`
  return (
    memory(threads, fns) +
    fns
      .map((fn) =>
        fn === "argmax"
          ? `
fn workgroup_argmax(value: f32, index: u32, ${parameters}) -> u32 {
  let best = subgroupMax(value);
  let at = subgroupMin(select(0xffffffffu, index, value == best));
  if (sg_lane == 0u) { reduce_f32[lid / sg_size] = best; reduce_u32[lid / sg_size] = at; }
  workgroupBarrier();
  var a = reduce_f32[0];
  var i = reduce_u32[0];
  for (var s = 1u; s < ${slots}; s++) {
    let b = reduce_f32[s];
    let j = reduce_u32[s];
    if (${IS_BETTER}) { a = b; i = j; }
  }
  workgroupBarrier();
  return i;
}`
          : `
fn workgroup_${fn}(value: f32, ${parameters}) -> f32 {
  let own = ${SUBGROUP[fn]}(value);
  if (sg_lane == 0u) { reduce_f32[lid / sg_size] = own; }
  workgroupBarrier();
  var a = reduce_f32[0];
  for (var s = 1u; s < ${slots}; s++) { let b = reduce_f32[s]; a = ${COMBINE[fn]}; }
  workgroupBarrier();
  return a;
}`,
      )
      .join("\n")
  )
}

/** Halves the number of values until one is left. */
function withoutSubgroups(threads: number, fns: readonly ReductionFn[]): string {
  const halving = (body: string) => `
  for (var half = ${threads / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lid < half) { ${body} }
  }
  workgroupBarrier();`
  return (
    memory(threads, fns) +
    fns
      .map((fn) =>
        fn === "argmax"
          ? `
fn workgroup_argmax(value: f32, index: u32, lid: u32) -> u32 {
  reduce_f32[lid] = value;
  reduce_u32[lid] = index;${halving(`
      let a = reduce_f32[lid];
      let i = reduce_u32[lid];
      let b = reduce_f32[lid + half];
      let j = reduce_u32[lid + half];
      if (${IS_BETTER}) { reduce_f32[lid] = b; reduce_u32[lid] = j; }
    `)}
  let best = reduce_u32[0];
  workgroupBarrier();
  return best;
}`
          : `
fn workgroup_${fn}(value: f32, lid: u32) -> f32 {
  reduce_f32[lid] = value;${halving(`
      let a = reduce_f32[lid];
      let b = reduce_f32[lid + half];
      reduce_f32[lid] = ${COMBINE[fn]};
    `)}
  let all = reduce_f32[0];
  workgroupBarrier();
  return all;
}`,
      )
      .join("\n")
  )
}

function memory(threads: number, fns: readonly ReductionFn[]): string {
  const indices = fns.includes("argmax") ? `\nvar<workgroup> reduce_u32: array<u32, ${threads}>;` : ""
  return `
var<workgroup> reduce_f32: array<f32, ${threads}>;${indices}`
}
