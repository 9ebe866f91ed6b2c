import type { Operand } from "../../../../ir/program.js"
import { ofRows } from "../../bindable.js"
import { type Dispatch, dispatch, type KernelContext, reads, type View, writes } from "../../dispatch.js"
import { rotation } from "../../wgsl/rotation.js"
import { combine, type Partials } from "./combine.js"
import { pooledSums, shuffledSums } from "./lanes.js"
import { mergeGroups } from "./merge.js"
import {
  type Attention,
  cacheLayout,
  describe,
  LOG2E,
  largestDivisor,
  MASKED,
  mostKeys,
  NO_MAXIMUM,
  rowParams,
  rowViews,
  sinkLogit,
  visible,
} from "./problem.js"

/** Where queries come from. */
export interface Queries {
  /** float32 rows, each starting with the query heads. */
  readonly x: Operand
  /** Rotates the queries as they are read. */
  readonly rotate: { readonly frequencies: Operand; readonly scale: number } | null
  /** Rows go on with a new key and value, which are appended: for rows that share no sequence. */
  readonly append: boolean
}

/** Fewest keys worth a workgroup of their own. */
const FEWEST_KEYS = 64

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
 * the keys. A few lanes hold a key and the matching part of every query; each such group keeps an online softmax of its
 * own, and they are merged at the end. Shares, where there are several, are combined by a second dispatch.
 */
export function fewRows(of: Attention, queries: Queries, context: KernelContext): Dispatch[] {
  const { features } = context
  const { rows, heads, kvHeads, headDim: D, keys, values, sinks, output } = of
  const layout = cacheLayout(keys, D)
  const limit = features.subgroups ? Math.min(features.subgroups.min, 16) : 8
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
  const unroll = features.subgroups ? 2 : 1
  const sums = features.subgroups ? shuffledSums(chunk, lanes) : pooledSums(chunk, lanes, threads)

  const filling = Math.ceil(WORKGROUPS / (rows * kvHeads * chunks))
  const splits = Math.min(Math.ceil(most / KEYS_PER_SPLIT), Math.max(filling, Math.ceil(most / MOST_KEYS)))
  const partials: Partials | null =
    splits > 1
      ? {
          splits,
          sums: context.scratch("float32", [rows, heads, splits, D]),
          weights: context.scratch("float32", [rows, heads, splits, 2]),
        }
      : null

  const { rotate, append } = queries
  const vectors = width / layout.lanes
  const units = width / layout.unit
  const perUnit = layout.unit / layout.lanes
  const vector = layout.lanes === 4 ? "vec4f" : "f32"
  const dot = (a: string, b: string) => (layout.lanes === 4 ? `dot(${a}, ${b})` : `${a} * ${b}`)
  const room = Math.min(POOL, (features.maxWorkgroupStorage - OTHER_BYTES) / 4)
  const merged = largestDivisor(chunk, Math.max(1, Math.floor(room / (groups * D))))
  const pool = Math.max(merged * groups * D, features.subgroups ? 0 : chunk * threads)

  const views: Record<string, View> = {
    x: reads(queries.x, "f32"),
    keys: layout.view(keys, append),
    values: layout.view(values, append),
    ...rowViews(of),
    ...(rotate ? { frequencies: reads(rotate.frequencies, "f32") } : {}),
    ...(partials
      ? { sums: writes(partials.sums, "f32"), weights: writes(partials.weights, "vec2<f32>") }
      : { out: writes(output, "f32"), ...(sinks ? { sinks: reads(sinks, "u32") } : {}) }),
  }
  const first = dispatch({
    label: `attention ${describe(of)}${rotate ? " rope" : ""}${append ? " append" : ""}`,
    views,
    params: {
      ...rowParams(of),
      splits,
      // Here, as compilers would unroll loops over a constant, and long kernels take long to fetch.
      groups,
      row_width: queries.x.shape.slice(1).reduce((a, b) => a * b, 1),
      scale: { f32: of.scale * LOG2E },
      rope_scale: { f32: rotate?.scale ?? 1 },
    },
    enable: features.subgroups ? ["subgroups"] : [],
    workgroups: ofRows(output, (rows) => [splits, kvHeads * chunks, rows]),
    code: (v) => {
      const each = (n: number, write: (i: number) => string) => Array.from({ length: n }, (_, i) => write(i)).join("\n")
      /** The value at `d` of the head whose elements start at `base`, rotated or not. */
      const element = (base: string, d: string) => (rotate ? `rotated(${base}, ${d})` : v.x.at(`${base} + ${d}`))
      const unitOf = (name: "keys" | "values", u: number, i: number) =>
        layout.read(v[name], `at${u} * ${D / layout.unit}u + lane * ${units}u + ${i}u`)
      /** Scores of key `u` against every head, as `s<u>_<h>`, then `kept` of them. */
      const score = (u: string, part: (i: number) => string) => `
${each(chunk, (h) => `var s${u}_${h} = ${Array.from({ length: vectors }, (_, i) => dot(`q${h}_${i}`, part(i))).join(" + ")};`)}
${sums.sum(`s${u}_`)}`
      const maximum = (i: number) =>
        Array.from({ length: unroll }, (_, u) => `s${u}_${i}`).reduce((a, b) => `max(${a}, ${b})`, `m${i}`)
      const store = (element: string) =>
        partials
          ? `let part = (row * ${heads}u + head + h) * params.splits + split;
    ${v.sums.at(`part * ${D}u + o % ${D}u`)} = sum;
    if (o % ${D}u == 0u) { ${v.weights.at("part")} = vec2f(top, total); }`
          : `${
              sinks
                ? `let sink = ${sinkLogit(v.sinks, "head + h")};
    let all = max(top, sink);
    let scale = exp2(top - all);
    total = total * scale + exp2(sink - all);
    sum *= scale;`
                : ""
            }
    ${v.out.at(`(row * ${heads}u + head) * ${D}u + ${element}`)} = sum / total;`
      return /* wgsl */ `
${visible(v)}
${rotate ? rotation : ""}
const GROUPS = ${groups}u;
var<workgroup> last: atomic<u32>;
var<workgroup> span: vec4u;
var<workgroup> turns: array<vec2f, ${rotate ? D / 2 : 1}>;
var<workgroup> q_rows: array<f32, ${chunk * D}>;
var<workgroup> new_key: array<f32, ${append ? D : 1}>;
var<workgroup> new_value: array<f32, ${append ? D : 1}>;
var<workgroup> maxima: array<f32, ${groups * chunk}>;
var<workgroup> totals: array<f32, ${groups * chunk}>;
var<workgroup> pool: array<f32, ${pool}>;
${
  rotate
    ? `
fn rotated(base: u32, d: u32) -> f32 {
  let turn = turns[d % ${D / 2}u];
  let a = ${v.x.at("base + d")};
  if (d < ${D / 2}u) { return a * turn.x - ${v.x.at(`base + d + ${D / 2}u`)} * turn.y; }
  return a * turn.x + ${v.x.at(`base + d - ${D / 2}u`)} * turn.y;
}`
    : ""
}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32${features.subgroups ? ", @builtin(subgroup_invocation_id) sg_lane: u32" : ""}) {
  let row = wid.z;
  let split = wid.x;
  let kv = wid.y / ${chunks}u;
  let head = wid.y * ${chunk}u;
  let lane = lid % ${lanes}u;
  let group = lid / ${lanes}u;
  let sequence = sequence_of(row);
  let position = ${v.positions.at("row")};
  atomicMax(&last, position);
  ${
    !of.sequences
      ? `atomicMax(&last, ${v.positions.at("params.rows - 1u")});`
      : `for (var other = row + lid; other < params.rows; other += ${threads}u) {
    if (sequence_of(other) == sequence) { atomicMax(&last, ${v.positions.at("other")}); }
  }`
  }
  workgroupBarrier();
  if (lid == 0u) {
    let visible_from = first_visible(position, atomicLoad(&last));
    let visible_to = position + ${append ? 0 : 1}u;
    let share = max(${FEWEST_KEYS}u, (visible_to - visible_from + params.splits - 1u) / params.splits);
    let start = min(visible_to, visible_from + split * share);
    span = vec4u(start, min(visible_to, start + share), (start % params.capacity), 0u);
  }
  let own = workgroupUniformLoad(&span);
  if (own.x >= own.y && split > 0u) {
    ${
      partials
        ? `if (lid < ${chunk}u) { ${v.weights?.at(`(row * ${heads}u + head + lid) * params.splits + split`)} = vec2f(${NO_MAXIMUM}, 0.0); }`
        : ""
    }
    return;
  }
  ${
    rotate
      ? `for (var i = lid; i < ${D / 2}u; i += ${threads}u) {
    turns[i] = params.rope_scale * rotation(position, ${v.frequencies.at("i")});
  }
  workgroupBarrier();`
      : ""
  }
  let x_row = row * params.row_width;
  for (var i = lid; i < ${chunk * D}u; i += ${threads}u) {
    q_rows[i] = params.scale * ${element(`x_row + head * ${D}u + i / ${D}u * ${D}u`, `i % ${D}u`)};
  }
  ${
    append
      ? `for (var i = lid; i < ${D}u; i += ${threads}u) {
    let key_element = ${element(`x_row + (${heads}u + kv) * ${D}u`, "i")};
    new_key[i] = ${layout.round("key_element")};
    let value_element = ${v.x.at(`x_row + (${heads + kvHeads}u + kv) * ${D}u + i`)};
    new_value[i] = ${layout.round("value_element")};
  }`
      : ""
  }
  workgroupBarrier();
  ${
    append
      ? `if (split == 0u && wid.y % ${chunks}u == 0u && lid < ${D / layout.unit}u) {
    let slot = ((sequence * params.capacity + position % params.capacity) * ${kvHeads}u + kv) * ${D / layout.unit}u + lid;
    ${v.keys.at("slot")} = ${layout.pack((i) => `new_key[lid * ${layout.unit}u + ${i}u]`)};
    ${v.values.at("slot")} = ${layout.pack((i) => `new_value[lid * ${layout.unit}u + ${i}u]`)};
  }`
      : ""
  }
  let mine = lane * ${width}u;
${each(chunk, (h) =>
  each(vectors, (i) => {
    const at = (e: number) => `q_rows[mine + ${h * D + i * layout.lanes + e}u]`
    return `let q${h}_${i} = ${layout.lanes === 4 ? `vec4f(${at(0)}, ${at(1)}, ${at(2)}, ${at(3)})` : at(0)};`
  }),
)}
${each(sums.kept, (i) => `var m${i} = f32(${NO_MAXIMUM}); var l${i} = 0.0;`)}
${each(chunk, (h) => each(vectors, (i) => `var a${h}_${i} = ${vector}(0.0);`))}
${
  append
    ? `{
${each(vectors, (i) => {
  const at = (name: string, e: number) => `${name}[mine + ${i * layout.lanes + e}u]`
  const whole = (name: string) =>
    layout.lanes === 4 ? `vec4f(${[0, 1, 2, 3].map((e) => at(name, e)).join(", ")})` : at(name, 0)
  return `let k${i} = ${whole("new_key")}; let v${i} = ${whole("new_value")};`
})}
${score("n", (i) => `k${i}`)}
if (split == 0u && group == 0u) {
${each(sums.kept, (i) => `m${i} = sn_${i}; l${i} = 1.0;`)}
${each(chunk, (h) => each(vectors, (i) => `a${h}_${i} = v${i};`))}
}
}`
    : ""
}
  for (var base = own.x; base < own.y; base += ${unroll}u * GROUPS) {
${each(
  unroll,
  (u) => `
    let j${u} = base + ${u}u * GROUPS + group;
    var slot${u} = own.z + min(j${u}, own.y - 1u) - own.x;
    if (slot${u} >= params.capacity) { slot${u} -= params.capacity; }
    let at${u} = (sequence * params.capacity + slot${u}) * ${kvHeads}u + kv;
${each(units, (i) => `let key${u}_${i} = ${unitOf("keys", u, i)};`)}`,
)}
${each(unroll, (u) => each(units, (i) => `let value${u}_${i} = ${unitOf("values", u, i)};`))}
${each(
  unroll,
  (u) => `${each(units, (i) =>
    layout
      .unpack(`key${u}_${i}`)
      .map((text, j) => `let k${u}_${i * perUnit + j} = ${text};`)
      .join("\n"),
  )}
${score(`${u}`, (i) => `k${u}_${i}`)}
${each(sums.kept, (i) => `s${u}_${i} = select(${MASKED}, s${u}_${i}, j${u} < own.y);`)}`,
)}
${each(
  sums.kept,
  (i) => `
    let top${i} = ${maximum(i)};
    let c${i} = exp2(m${i} - top${i});
    m${i} = top${i};
${each(unroll, (u) => `s${u}_${i} = exp2(s${u}_${i} - top${i});`)}
    l${i} = l${i} * c${i} + ${Array.from({ length: unroll }, (_, u) => `s${u}_${i}`).join(" + ")};`,
)}
${each(unroll, (u) =>
  each(units, (i) =>
    layout
      .unpack(`value${u}_${i}`)
      .map((text, j) => `let v${u}_${i * perUnit + j} = ${text};`)
      .join("\n"),
  ),
)}
${each(
  chunk,
  (h) => `{
    let c = ${sums.fetch("c", h)};
${each(unroll, (u) => `let p${u} = ${sums.fetch(`s${u}_`, h)};`)}
${each(
  vectors,
  (i) => `a${h}_${i} = a${h}_${i} * c + ${Array.from({ length: unroll }, (_, u) => `p${u} * v${u}_${i}`).join(" + ")};`,
)}
    }`,
)}
  }
${mergeGroups({ sums, heads: chunk, atOnce: merged, headDim: D, vectors, lanes: layout.lanes, threads, store })}
}`
    },
  })
  return partials ? [first, combine(of, partials)] : [first]
}
