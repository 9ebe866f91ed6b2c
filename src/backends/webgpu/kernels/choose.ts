import { NO_INDEX } from "../../../ir/specs/rows.js"
import { derive, most } from "../bindable.js"
import { dispatch, grid, reads, workgroupIndex, writes } from "../dispatch.js"
import { RANKED } from "../wgsl/ranked.js"
import { countPlace, ORDER } from "../wgsl/ranking.js"
import { LOWEST, type Reductions, reductions } from "../wgsl/reduce.js"
import { BUILTINS } from "./per_thread.js"
import type { Planner } from "./planner.js"
import { rowsOf } from "./rows.js"

const THREADS = 256

/** Elements of a row that one workgroup takes when a row goes to several. */
const SHARE = 2048

const entry = (threads: number, reduce: Reductions) => `
@compute @workgroup_size(${threads})
fn main(${BUILTINS}${reduce.builtins}) {
  let group = ${workgroupIndex};
  if (group >= params.groups) { return; }`

/**
 * Long rows go to several workgroups, whose winners meet in a second dispatch. Whether a row can be chosen from shows
 * in what wins it: see {@link RANKED}.
 */
export const argmax: Planner<"argmax"> = (_, { x }, { ids }, { features, scratch }) => {
  const { rows, n } = rowsOf(x)
  const shares = n <= 2 * SHARE ? 1 : Math.ceil(n / SHARE)
  const reduce = reductions(features, THREADS, ["argmax"])
  const groups = derive(rows, (rows) => rows * shares)
  const winners = shares === 1 ? ids : scratch("uint32", [most(rows), shares])
  const better = (value: string, index: string) => `let v = ${value};
    if (goes_before(v, ${index}, best, at)) { best = v; at = ${index}; }`
  const chosen = (bits: string) => `select(${NO_INDEX}u, winner, is_finite(${bits}))`
  const first = dispatch({
    label: "argmax",
    views: { x: reads(x, "u32"), out: writes(winners, "u32") },
    params: { groups, n, shares },
    uses: [RANKED, ...reduce.uses],
    workgroups: derive(groups, grid),
    code: (v) => /* wgsl */ `${entry(THREADS, reduce)}
  let row = (group / params.shares) * params.n;
  let share = (params.n + params.shares - 1u) / params.shares;
  let begin = (group % params.shares) * share;
  let end = min(begin + share, params.n);
  var best = ${LOWEST};
  var at = 0xffffffffu;
  for (var i = begin + lid; i < end; i += ${THREADS}u) {
    ${better(`ranked(${v.x.at("row + i")})`, "i")}
  }
  let winner = ${reduce.argmax("best", "at")};
  if (lid == 0u) { ${v.out.at("group")} = ${shares === 1 ? chosen(v.x.at("row + winner")) : "winner"}; }
}`,
  })
  if (shares === 1) return [first]
  const second = dispatch({
    label: "argmax of winners",
    views: { x: reads(x, "u32"), winners: reads(winners, "u32"), out: writes(ids, "u32") },
    params: { groups: rows, n, shares },
    uses: [RANKED, ...reduce.uses],
    workgroups: derive(rows, grid),
    code: (v) => /* wgsl */ `${entry(THREADS, reduce)}
  var best = ${LOWEST};
  var at = 0xffffffffu;
  for (var s = lid; s < params.shares; s += ${THREADS}u) {
    let i = ${v.winners.at("group * params.shares + s")};
    if (i < params.n) { ${better(`ranked(${v.x.at("group * params.n + i")})`, "i")} }
  }
  let winner = ${reduce.argmax("best", "at")};
  if (lid == 0u) { ${v.out.at("group")} = ${chosen(v.x.at("group * params.n + winner"))}; }
}`,
  })
  return [first, second]
}

/** Up to here an element's rank is counted against all others; beyond, k searches over the row cost less. */
const COUNTED = 1024

export const topK: Planner<"top_k"> = ({ k }, { x }, { ids }, { features }) => {
  const { rows, n } = rowsOf(x)
  const counted = n <= COUNTED
  const threads = n <= 64 ? 64 : THREADS
  const reduce = reductions(features, threads, counted ? [] : ["argmax"])
  const value = (v: { at(i: string): string }, i: string) => `max(${v.at(`row + ${i}`)}, ${LOWEST})`
  return [
    dispatch({
      label: `top_k of ${n}`,
      views: { x: reads(x, "f32"), out: writes(ids, "u32") },
      params: { groups: rows, n, k },
      uses: [ORDER, ...reduce.uses],
      workgroups: derive(rows, grid),
      code: counted
        ? (v) => /* wgsl */ `${entry(threads, reduce)}
  let row = group * params.n;
  for (var n = lid; n < params.n; n += ${threads}u) {
    let own = ${value(v.x, "n")};
    ${countPlace("params.n", (i) => value(v.x, i))}
    if (place < params.k) { ${v.out.at("group * params.k + place")} = n; }
  }
}`
        : (v) => /* wgsl */ `${entry(threads, reduce)}
  let row = group * params.n;
  var last = 0xffffffffu;
  for (var r = 0u; r < params.k; r++) {
    var best = ${LOWEST};
    var at = 0xffffffffu;
    var bound = 0.0;
    if (r > 0u) { bound = ${value(v.x, "last")}; }
    for (var i = lid; i < params.n; i += ${threads}u) {
      let own = ${value(v.x, "i")};
      let is_left = r == 0u || goes_before(bound, last, own, i);
      if (is_left && goes_before(own, i, best, at)) { best = own; at = i; }
    }
    last = ${reduce.argmax("best", "at")};
    if (lid == 0u) { ${v.out.at("group * params.k + r")} = last; }
  }
}`,
    }),
  ]
}
