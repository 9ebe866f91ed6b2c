import { range } from "../../wgsl/range.js"
import type { LaneSums } from "./lanes.js"

interface Merge {
  /** How a group's softmax maxima `m<i>` and totals `l<i>` are spread over its lanes. */
  readonly sums: LaneSums
  /** Heads that every group has weighted sums of, in `a<head>_<vector>`. */
  readonly heads: number
  /** Heads that workgroup memory takes at a time, a divisor. */
  readonly atOnce: number
  readonly headDim: number
  /** A lane's vectors of a head, and the elements of each. */
  readonly vectors: number
  readonly lanes: 1 | 4
  readonly threads: number
  /**
   * WGSL that stores a result: `sum`, not yet divided by `total`, relative to the maximum `top`, of head `h` among the
   * workgroup's; given its element among all of those.
   */
  store(element: string): string
}

/** Groups that a turn of a loop over all of them takes, whose number they divide: more make a longer kernel, fewer wait longer. */
const AT_ONCE = 4

/** WGSL that does something for each group in turn. */
function overGroups(body: (group: string) => string): string {
  return /* wgsl */ `for (var g = 0u; g < params.groups; g += ${AT_ONCE}u) {
      ${range(AT_ONCE)
        .map((i) => body(`(g + ${i}u)`))
        .join("\n      ")}
    }`
}

/**
 * WGSL, with `partial_softmax.ts`, that merges the online softmaxes of a workgroup's `params.groups` groups of lanes, each of which saw keys of its
 * own: through workgroup memory `maxima` and `totals` `[groups, heads]` and `pool` `[groups, atOnce * headDim]`.
 */
export function mergeGroups(of: Merge): string {
  const { sums, heads, atOnce, headDim: D, vectors, lanes, threads, store } = of
  const each = (n: number, write: (i: number) => string) => range(n).map(write).join("\n")
  return `${each(sums.kept, (i) => `let head${i} = ${sums.head(i)}; if (${sums.speaks}) { maxima[group * ${heads}u + head${i}] = m${i}; }`)}
  workgroupBarrier();
${each(
  sums.kept,
  (i) => `
  ${overGroups((g) => `m${i} = max(m${i}, maxima[${g} * ${heads}u + head${i}]);`)}
  let f${i} = worth(maxima[group * ${heads}u + head${i}], m${i});
  if (${sums.speaks}) { totals[group * ${heads}u + head${i}] = l${i} * f${i}; }`,
)}
${each(heads, (h) => `{ let f = ${sums.fetch("f", h)}; ${each(vectors, (i) => `a${h}_${i} *= f;`)} }`)}
${each(heads / atOnce, (round) => {
  const elements = atOnce * D
  return `
${each(atOnce, (j) =>
  each(vectors, (i) => {
    const at = (e: number) => `pool[group * ${elements}u + mine + ${j * D + i * lanes + e}u]`
    const a = `a${round * atOnce + j}_${i}`
    return lanes === 4 ? [..."xyzw"].map((c, e) => `${at(e)} = ${a}.${c};`).join(" ") : `${at(0)} = ${a};`
  }),
)}
  workgroupBarrier();
  for (var o = lid; o < ${elements}u; o += ${threads}u) {
    let h = ${round * atOnce}u + o / ${D}u;
    var sum = 0.0;
    var total = 0.0;
    var top = maxima[h];
    ${overGroups(
      (g) => `sum += pool[${g} * ${elements}u + o];
      total += totals[${g} * ${heads}u + h];
      top = max(top, maxima[${g} * ${heads}u + h]);`,
    )}
    ${store(`${round * elements}u + o`)}
  }
  ${round + 1 < heads / atOnce ? "workgroupBarrier();" : ""}`
})}`
}
