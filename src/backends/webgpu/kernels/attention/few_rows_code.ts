import type { Accessor } from "../../dispatch.js"
import { range } from "../../wgsl/range.js"
import type { CacheLayout } from "./cache_layout.js"
import { type Codes, codeFunctions, parities, wordsOf } from "./codes.js"
import { encode, encoder, packedCodes } from "./encode.js"
import { hadamard } from "./hadamard.js"
import type { LaneSums } from "./lanes.js"
import { mergeGroups } from "./merge.js"
import { pages } from "./pages.js"
import { type Attention, MASKED, NO_MAXIMUM, sinkLogit } from "./problem.js"
import { fillTurns, rotatedHeads } from "./rotated.js"

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
  readonly sums: LaneSums
  /** Heads whose groups are merged at a time. */
  readonly merged: number
  /** Floats of workgroup memory for the sums across lanes, and across groups. */
  readonly pool: number
  readonly hasSubgroups: boolean
}

type Views = Readonly<Record<string, Accessor>>

/** Fewest keys worth a workgroup of their own. */
const FEWEST_KEYS = 64

const each = (n: number, write: (i: number) => string) => range(n).map(write).join("\n")

/**
 * @param v what `fewRows` views: with `frequencies`, heads are rotated; with `slots`, keys and values are appended; with
 * `weights` and `sums`, shares are left to be combined, else there is `out` and perhaps `sinks`
 */
export function fewRowsCode(of: Attention, division: Division, layout: CacheLayout, v: Views): string {
  const { sums, chunk, chunks, lanes, threads, hasSubgroups, width } = division
  const { headDim: D } = of
  const vectors = width / layout.lanes
  return /* wgsl */ `
${pages(of, { tables: v.tables })}
${v.frequencies ? rotatedHeads(v.x, D) : ""}
${memory(of, division, v)}
${layout.codes ? codeFunctions(layout.codes, v, D) : ""}
${layout.codes && v.slots ? encoder(layout.codes, "new_heads", 2, D) : ""}
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
${each(chunk, (h) => each(vectors, (i) => `let q${h}_${i} = ${vectorAt("q_rows", layout, h * D + i * layout.lanes)};`))}
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
var<workgroup> q_rows: array<f32, ${chunk * D}>;
${v.slots ? `var<workgroup> new_heads: array<f32, ${2 * D}>;` : ""}
var<workgroup> maxima: array<f32, ${groups * chunk}>;
var<workgroup> totals: array<f32, ${groups * chunk}>;
var<workgroup> pool: array<f32, ${pool}>;`
}

/** The workgroup's share of the positions that its row sees: `own.x` to before `own.y`. Ends those that have none. */
function ownKeys({ heads }: Attention, { chunk }: Division, v: Views): string {
  const none = v.weights?.at(`(row * ${heads}u + head + lid) * params.splits + split`)
  return /* wgsl */ `
  if (lid == 0u) {
    let visible_from = first_visible(position);
    // What is appended does not come from the cache.
    let visible_to = position + ${v.slots ? 0 : 1}u;
    let share = max(${FEWEST_KEYS}u, (visible_to - visible_from + params.splits - 1u) / params.splits);
    let start = min(visible_to, visible_from + split * share);
    span = vec2u(start, min(visible_to, start + share));
  }
  let own = workgroupUniformLoad(&span);
  if (own.x >= own.y && split > 0u) {
    ${none ? `if (lid < ${chunk}u) { ${none} = vec2f(${NO_MAXIMUM}, 0.0); }` : ""}
    return;
  }`
}

/** Queries, scaled, into `q_rows`; the new key and value into `new_heads`. */
function loadHeads(of: Attention, { chunk, threads }: Division, layout: CacheLayout, v: Views): string {
  const { heads, kvHeads, headDim: D } = of
  const element = (base: string, d: string) => (v.frequencies ? `rotated(${base}, ${d})` : v.x.at(`${base} + ${d}`))
  return /* wgsl */ `
  let x_row = row * params.row_width;
  for (var i = lid; i < ${chunk * D}u; i += ${threads}u) {
    q_rows[i] = params.scale * ${element(`x_row + head * ${D}u + i / ${D}u * ${D}u`, `i % ${D}u`)};
  }
  ${
    v.slots
      ? `for (var i = lid; i < ${D}u; i += ${threads}u) {
    new_heads[i] = ${element(`x_row + (${heads}u + kv) * ${D}u`, "i")};
    new_heads[${D}u + i] = ${v.x.at(`x_row + (${heads + kvHeads}u + kv) * ${D}u + i`)};
  }`
      : ""
  }
  ${layout.codes ? hadamard("q_rows", chunk, D, threads) : "workgroupBarrier();"}`
}

/**
 * Leaves the new key and value as the cache gives them back. One workgroup of those that share a key-value head puts them
 * into the row's slot.
 */
function appendNew({ headDim: D, kvHeads }: Attention, division: Division, layout: CacheLayout, v: Views): string {
  const { chunks, threads } = division
  const { codes, unit } = layout
  const units = D / unit
  const packed = (first: number) =>
    codes
      ? packedCodes(codes, "new_heads", `lid * ${unit}u + ${first}u`)
      : layout.pack((i) => `new_heads[lid * ${unit}u + ${first + i}u]`)
  const store = /* wgsl */ `
  if (split == 0u && wid.y % ${chunks}u == 0u && lid < ${units}u) {
    let slot = (${v.slots.at("row")} * ${kvHeads}u + kv) * ${units}u + lid;
    ${v.keys.at("slot")} = ${packed(0)};
    ${v.values.at("slot")} = ${packed(D)};
  }`
  const kept = codes ? `level_of(i32(new_heads[i])) * scales[i / ${D}u]` : layout.round("new_heads[i]")
  const keep = /* wgsl */ `
  workgroupBarrier();
  for (var i = lid; i < ${2 * D}u; i += ${threads}u) { new_heads[i] = ${kept}; }
  workgroupBarrier();`
  if (!codes) return store + keep
  // Only the first share attends to them.
  return /* wgsl */ `
  if (split == 0u) {
  ${hadamard("new_heads", 2, D, threads)}
  ${encode("new_heads", 2, D, threads)}
  ${store}
  ${keep}
  }`
}

/** Elements `at` on of a lane's part of a vector in workgroup memory. */
function vectorAt(name: string, { lanes }: CacheLayout, at: number): string {
  const element = (e: number) => `${name}[mine + ${at + e}u]`
  return lanes === 4 ? `vec4f(${range(4).map(element).join(", ")})` : element(0)
}

/** Scores of key `k<u>_<i>` against every head, as `s<u>_<h>`, then as {@link LaneSums} leave them. */
function scores({ sums, chunk, width }: Division, { lanes }: CacheLayout, u: string): string {
  const product = (h: number, i: number) => {
    const [q, k] = [`q${h}_${i}`, `k${u}_${i}`]
    return lanes === 4 ? `dot(${q}, ${k})` : `${q} * ${k}`
  }
  const score = (h: number) =>
    range(width / lanes)
      .map((i) => product(h, i))
      .join(" + ")
  return `
${each(chunk, (h) => `var s${u}_${h} = ${score(h)};`)}
${sums.sum(`s${u}_`)}`
}

/** The first group of the first share begins with the new key and value. */
function attendNew(of: Attention, division: Division, layout: CacheLayout): string {
  const { sums, chunk, width } = division
  const vectors = width / layout.lanes
  const load = (i: number) => `
    let kn_${i} = ${vectorAt("new_heads", layout, i * layout.lanes)};
    let vn_${i} = ${vectorAt("new_heads", layout, of.headDim + i * layout.lanes)};`
  return /* wgsl */ `
  {
${each(vectors, load)}
${scores(division, layout, "n")}
    if (split == 0u && group == 0u) {
${each(sums.kept, (i) => `m${i} = sn_${i}; l${i} = 1.0;`)}
${each(chunk, (h) => each(vectors, (i) => `a${h}_${i} = vn_${i};`))}
    }
  }`
}

/** The groups take the share's keys in turn; where the next ones lie is looked up while these are on their way. */
function attendCached({ kvHeads, headDim: D }: Attention, division: Division, layout: CacheLayout, v: Views): string {
  const { unroll, width } = division
  const units = width / layout.unit
  const load = (name: "key" | "value", u: number) =>
    each(units, (i) => {
      const at = `at${u} * ${D / layout.unit}u + lane * ${units}u + ${i}u`
      return `let ${name}${u}_${i} = ${layout.read(v[`${name}s`], at)};`
    })
  const unpack = (name: "key" | "value", u: number) =>
    range(units)
      .flatMap((i) => layout.unpack(`${name}${u}_${i}`))
      .map((vector, i) => `let ${name[0]}${u}_${i} = ${layout.codes ? `${name}_scale${u} * ` : ""}${vector};`)
      .join("\n")
  const lookUp = (u: number) => `(slot_of(sequence, min(next + ${u}u * GROUPS, final_position)) * ${kvHeads}u + kv)`
  return /* wgsl */ `
  let final_position = max(own.y, 1u) - 1u;
  var next = own.x + group;
  ${each(unroll, (u) => `var next_at${u} = ${lookUp(u)};`)}
  for (var base = own.x; base < own.y; base += ${unroll}u * GROUPS) {
    let j = base + group;
    ${each(unroll, (u) => `let at${u} = next_at${u};`)}
${each(unroll, (u) => load("key", u))}
${each(unroll, (u) => load("value", u))}
    next = j + ${unroll}u * GROUPS;
    ${each(unroll, (u) => `next_at${u} = ${lookUp(u)};`)}
    ${layout.codes ? cachedScales(layout.codes, division, units) : ""}
${each(
  unroll,
  (u) => `
${unpack("key", u)}
${scores(division, layout, `${u}`)}
${each(division.sums.kept, (i) => `s${u}_${i} = select(${MASKED}, s${u}_${i}, j + ${u}u * GROUPS < own.y);`)}`,
)}
${softmax(division)}
${each(unroll, (u) => unpack("value", u))}
${accumulate(division, layout)}
  }`
}

/**
 * The scales `key_scale<u>` and `value_scale<u>` of vectors in codes. The parities that spell them come from all lanes: those of
 * up to four vectors lie in one word, so that they meet in the same shuffles.
 */
function cachedScales(codes: Codes, { unroll, lanes, hasSubgroups }: Division, units: number): string {
  const names = range(unroll).flatMap((u) => [`key${u}`, `value${u}`])
  const own = (name: string) =>
    parities(
      codes,
      range(units).flatMap((i) => wordsOf(codes, `${name}_${i}`)),
    )
  const all = (name: string) => `${name.slice(0, -1)}_parities(at${name.at(-1)})`
  const word = names.map((name, i) => `(${hasSubgroups ? own(name) : all(name)} << ${i}u)`).join(" | ")
  const masks = range(hasSubgroups ? Math.log2(lanes) : 0).map((i) => 2 ** i)
  return /* wgsl */ `
    var spelled = ${word};
    ${masks.map((mask) => `spelled ^= subgroupShuffleXor(spelled, ${mask}u);`).join("\n")}
    ${names.map((name, i) => `let ${name.slice(0, -1)}_scale${name.at(-1)} = scale_of(spelled >> ${i}u);`).join("\n")}`
}

/** Scores `s<u>_<i>` become weights; `c<i>` is what weights of the keys before are worth now. */
function softmax({ sums, unroll }: Division): string {
  const of = (i: number) => range(unroll).map((u) => `s${u}_${i}`)
  return each(
    sums.kept,
    (i) => `
    let top${i} = ${of(i).reduce((a, b) => `max(${a}, ${b})`, `m${i}`)};
    let c${i} = exp2(m${i} - top${i});
    m${i} = top${i};
    ${each(unroll, (u) => `s${u}_${i} = exp2(s${u}_${i} - top${i});`)}
    l${i} = l${i} * c${i} + ${of(i).join(" + ")};`,
  )
}

/** Values times weights into every head's sums. */
function accumulate({ sums, chunk, unroll, width }: Division, layout: CacheLayout): string {
  const added = (i: number) => range(unroll).map((u) => `p${u} * v${u}_${i}`)
  return each(
    chunk,
    (h) => `{
      let c = ${sums.fetch("c", h)};
      ${each(unroll, (u) => `let p${u} = ${sums.fetch(`s${u}_`, h)};`)}
      ${each(width / layout.lanes, (i) => `a${h}_${i} = a${h}_${i} * c + ${added(i).join(" + ")};`)}
    }`,
  )
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
    let sink = ${sinks ? sinkLogit(sinks, "head + h") : ""};
    let all = max(top, sink);
    let scale = exp2(top - all);
    total = total * scale + exp2(sink - all);
    sum *= scale;`
  return `${sinks ? sink : ""}
    ${place} = sum / total;`
}
