import { sinkPart } from "../../wgsl/partial_softmax.js"
import { range } from "../../wgsl/range.js"
import type { CacheLayout } from "./cache_layout.js"
import { codeFunctions } from "./codes.js"
import type { Division } from "./division.js"
import { encoder } from "./encode.js"
import { appendNew, attendCached, attendNew, newHeads, newShare, type Views } from "./few_rows_keys.js"
import { hadamard } from "./hadamard.js"
import { mergeGroups } from "./merge.js"
import { pages } from "./pages.js"
import { type Attention, NO_MAXIMUM, sinkLogit } from "./problem.js"
import { fillTurns, rotatedHeads } from "./rotated.js"

/** Fewest keys worth a workgroup of their own. */
const FEWEST_KEYS = 64

const each = (n: number, write: (i: number) => string) => range(n).map(write).join("\n")

/**
 * @param v what `fewRows` views: with `frequencies`, heads are rotated; with `slots`, keys and values are appended; with
 * `weights` and `sums`, shares are left to be combined, else there is `out` and perhaps `sinks`
 */
export function fewRowsCode(of: Attention, division: Division, layout: CacheLayout, v: Views): string {
  const { sums, chunk, chunks, lanes, threads, hasSubgroups, width, math } = division
  const { headDim: D } = of
  const vectors = width / layout.lanes
  return /* wgsl */ `
${pages(of, { tables: v.tables })}
${v.frequencies ? rotatedHeads(v.x, D) : ""}
${memory(of, division, v)}
${layout.codes ? codeFunctions(layout.codes, v, D) : ""}
${math.functions}
${layout.codes && v.slots ? encoder(layout.codes, newHeads(of, division)) : ""}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32${hasSubgroups ? ", @builtin(subgroup_invocation_id) sg_lane: u32" : ""}) {
  let row = wid.z;
  let split = wid.x;
  let kv = wid.y / ${chunks}u;
  let head = wid.y * ${chunk}u;
  let lane = lid % ${lanes}u;
  let group = lid / ${lanes}u;
  let mine = lane * ${width}u;
  let sequence = ${v.sequences.at("row")};
  let position = ${v.positions.at("row")};
  ${v.frequencies ? fillTurns(v.frequencies, D, threads) : ""}
  ${ownKeys(of, division, v)}
  ${loadHeads(of, division, layout, v)}
  ${v.slots ? appendNew(of, division, layout, v) : ""}
${each(chunk, (h) => {
  const registers = math.query((e) => `q_rows[mine + ${h * D + e}u]`)
  return each(math.registers, (i) => `let q${h}_${i} = ${registers[i]};`)
})}
${each(sums.kept, (i) => `var m${i} = f32(${NO_MAXIMUM}); var l${i} = 0.0;`)}
${each(chunk, (h) => each(vectors, (i) => `var a${h}_${i} = ${layout.lanes === 4 ? "vec4f" : "f32"}(0.0);`))}
  ${v.slots ? attendNew(of, division, layout) : ""}
  ${attendCached(of, division, layout, v)}
  ${merge(of, division, layout, v)}
}`
}

/** What the threads of a workgroup share. */
function memory({ headDim: D }: Attention, { chunk, groups, pool }: Division, v: Views): string {
  return /* wgsl */ `
const GROUPS = ${groups}u;
var<workgroup> span: vec2u;
var<workgroup> q_rows: array<f32, ${(chunk + (v.slots ? 2 : 0)) * D}>;
var<workgroup> maxima: array<f32, ${groups * chunk}>;
var<workgroup> totals: array<f32, ${groups * chunk}>;
var<workgroup> pool: array<f32, ${pool}>;`
}

/** The workgroup's share of the positions that its row sees: `own.x` to before `own.y`. Ends those that have nothing to do. */
function ownKeys({ heads }: Attention, division: Division, v: Views): string {
  const { chunk, isNewApart } = division
  const none = v.weights?.at(`(row * ${heads}u + head + lid) * params.splits + split`)
  return /* wgsl */ `
  if (lid == 0u) {
    let visible_from = first_visible(position);
    // What is appended does not come from the cache.
    let visible_to = position + ${v.slots ? 0 : 1}u;
    let shares = params.splits - ${isNewApart ? 1 : 0}u;
    let share = max(${FEWEST_KEYS}u, (visible_to - visible_from + shares - 1u) / shares);
    let start = min(visible_to, visible_from + split * share);
    span = vec2u(start, min(visible_to, start + share));
  }
  let own = workgroupUniformLoad(&span);
  if (own.x >= own.y && split != ${newShare(division)}) {
    ${none ? `if (lid < ${chunk}u) { ${none} = vec2f(${NO_MAXIMUM}, 0.0); }` : ""}
    return;
  }`
}

/** Queries, scaled, into `q_rows`; behind them the new key and value, rounded as the cache does. */
function loadHeads(of: Attention, { chunk, threads }: Division, layout: CacheLayout, v: Views): string {
  const { heads, kvHeads, headDim: D } = of
  const element = (base: string, d: string) => (v.frequencies ? `rotated(${base}, ${d})` : v.x.at(`${base} + ${d}`))
  const rounded = (value: string) => (layout.codes ? value : layout.round(value))
  return /* wgsl */ `
  let x_row = row * params.row_width;
  for (var i = lid; i < ${chunk * D}u; i += ${threads}u) {
    q_rows[i] = params.scale * ${element(`x_row + head * ${D}u + i / ${D}u * ${D}u`, `i % ${D}u`)};
  }
  ${
    v.slots
      ? `for (var i = lid; i < ${D}u; i += ${threads}u) {
    q_rows[${chunk * D}u + i] = ${rounded(element(`x_row + (${heads}u + kv) * ${D}u`, "i"))};
    q_rows[${(chunk + 1) * D}u + i] = ${rounded(v.x.at(`x_row + (${heads + kvHeads}u + kv) * ${D}u + i`))};
  }`
      : ""
  }
  ${layout.codes ? hadamard("q_rows", chunk + (v.slots ? 2 : 0), D, threads) : "workgroupBarrier();"}`
}

/** Merges the groups, and stores the results: rotated back, where values are rotated, once all are there. */
function merge(of: Attention, division: Division, layout: CacheLayout, v: Views): string {
  const { sums, chunk, threads, width, merged } = division
  const { heads, headDim: D } = of
  const { lanes } = layout
  const isRotated = layout.codes !== null && !v.weights
  const place = (element: string) =>
    isRotated ? `q_rows[${element}]` : v.out?.at(`(row * ${heads}u + head) * ${D}u + ${element}`)
  const merging = mergeGroups({
    sums,
    heads: chunk,
    atOnce: merged,
    headDim: D,
    vectors: width / lanes,
    lanes,
    threads,
    store: (element) => (v.weights ? leave(of, v) : finish(v, place(element))),
  })
  if (!isRotated) return merging
  return /* wgsl */ `${merging}
  ${hadamard("q_rows", chunk, D, threads)}
  for (var i = lid; i < ${chunk * D}u; i += ${threads}u) { ${v.out.at(`(row * ${heads}u + head) * ${D}u + i`)} = q_rows[i]; }`
}

/** Leaves a share's sums to be combined: see {@link mergeGroups}. */
function leave({ heads, headDim: D }: Attention, v: Views): string {
  return /* wgsl */ `
    let part = (row * ${heads}u + head + h) * params.splits + split;
    ${v.sums.at(`part * ${D}u + o % ${D}u`)} = sum;
    if (o % ${D}u == 0u) { ${v.weights.at("part")} = vec2f(top, total); }`
}

/** Adds the sink and stores the result: see {@link mergeGroups}. */
function finish({ sinks }: Views, place: string): string {
  const sink = /* wgsl */ `
    let all = merged(vec2f(top, total), ${sinks ? sinkPart(sinkLogit(sinks, "head + h")) : ""});
    total = all.y;
    sum *= worth(top, all.x);`
  return `${sinks ? sink : ""}
    ${place} = sum / total;`
}
