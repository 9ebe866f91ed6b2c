import type { Operand } from "../../../../ir/program.js"
import { ofRows } from "../../bindable.js"
import { type Dispatch, dispatch, type KernelContext, reads, type View, writes } from "../../dispatch.js"
import { PARTIAL_SOFTMAX, sinkPart } from "../../wgsl/partial_softmax.js"
import { cacheLayout } from "./cache_layout.js"
import { codeFunctions, LEVELS } from "./codes.js"
import { flashMath } from "./flash_math.js"
import type { FlashMath } from "./flash_tile.js"
import { matrixMath } from "./matrix_math.js"
import { pageParams, pages, pageViews } from "./pages.js"
import { type Attention, describe, isShared, LOG2E, largestDivisor, MASKED, NO_MAXIMUM, sinkLogit } from "./problem.js"

/** The arithmetic that fits device and problem, or null. */
export function mathFor(of: Attention, { features }: KernelContext): FlashMath | null {
  return matrixMath(features, of) ?? flashMath(features, of)
}

/**
 * Attention for many rows: a workgroup takes some rows of the query heads of one key-value head and passes over the tiles
 * of keys that any of them sees (Dao et al., FlashAttention-2). Where its rows belong to several sequences, as many
 * workgroups take a tile, each the rows of one.
 *
 * @param queries `[L, Hq, D]`, turned by their positions, float32 or as `math` wants; over quantized caches rotated, as the
 * results then are
 */
export function flash(of: Attention, queries: Operand, math: FlashMath): Dispatch {
  const { heads, kvHeads, headDim: D, keys, values, sinks, output } = of
  const { tile } = math
  const { queries: R, keys: C, threads } = tile
  const shared = heads / kvHeads
  const chunk = largestDivisor(shared, 16)
  const chunks = shared / chunk
  const height = Math.floor(R / chunk)
  // In whole vectors: what lies beside the arrays that matrices are loaded from must not misalign them.
  const held = 4 * Math.ceil(height / 4)
  /** Workgroups of a tile: one for each sequence that its rows may belong to. */
  const sequences = isShared(of) ? height : 1
  const cached = cacheLayout(keys, D)
  const source = cacheLayout(queries, D)
  const team = threads / R
  const turns = C / team
  const views: Record<string, View> = {
    queries: source.view(queries, false),
    keys: cached.view(keys, false),
    values: cached.view(values, false),
    out: writes(output, "f32"),
    ...pageViews(of),
    ...(sinks ? { sinks: reads(sinks, "u32") } : {}),
  }
  const each = (n: number, write: (i: number) => string) => Array.from({ length: n }, (_, i) => write(i)).join("\n")
  return dispatch({
    label: `attention ${describe(of)} tiles${math.enable.length ? " matrix" : ""}`,
    views,
    params: { ...pageParams(of), scale: { f32: of.scale * LOG2E } },
    uses: [PARTIAL_SOFTMAX],
    enable: math.enable,
    workgroups: ofRows(output, (rows) => [Math.ceil(rows / height), kvHeads * chunks, sequences]),
    code: (v) => {
      const { codes } = cached
      /** A unit of a cache's vector, as read. */
      const put = (what: "key" | "value") =>
        codes
          ? `let scale = scale_of(${what}_parities(vector));
      ${cached
        .unpack("unit")
        .map((four, i) => `{ let four = scale * ${four}; ${math.put(what, false, "four", "r", `(d + ${4 * i}u)`)} }`)
        .join("\n")}`
          : math.put(what, keys.dtype === "float16", "unit", "r", "d")
      const stage = (what: "key" | "value") => /* wgsl */ `
    for (var e = lid; e < ${(C * D) / cached.unit}u; e += ${threads}u) {
      let r = e / ${D / cached.unit}u;
      let vector = slots[r] * ${kvHeads}u + kv;
      let unit = ${cached.read(v[`${what}s`], `vector * ${D / cached.unit}u + e % ${D / cached.unit}u`)};
      let d = e % ${D / cached.unit}u * ${cached.unit}u;
      ${put(what)}
    }`
      /** Where the keys of the tile at `base` lie. */
      const lookUp = (base: string) => /* wgsl */ `
      for (var c = lid; c < ${C}u; c += ${threads}u) { slots[c] = slot_of(run.z, min(${base} + c, run.y - 1u)); }`
      return /* wgsl */ `
${pages(of, { tables: v.tables })}
${codes ? codeFunctions(codes, v, D) + LEVELS[codes.bits] : ""}
${math.declarations}
var<workgroup> slots: array<u32, ${C}>;
var<workgroup> factors: array<f32, ${R}>;
var<workgroup> partials: array<f32, ${threads}>;
var<workgroup> row_first: array<u32, ${held}>;
var<workgroup> row_count: array<u32, ${held}>;
var<workgroup> row_sequence: array<u32, ${held}>;
var<workgroup> seen: vec4u;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32${math.builtins}) {
  let row0 = wid.x * ${height}u;
  let kv = wid.y / ${chunks}u;
  let head0 = wid.y * ${chunk}u;
  if (lid < ${height}u) {
    let row = row0 + lid;
    if (row < params.rows) {
      let position = ${v.positions.at("row")};
      row_first[lid] = first_visible(position);
      row_count[lid] = position + 1u - first_visible(position);
      row_sequence[lid] = ${v.sequences.at("row")};
    } else {
      row_first[lid] = 0u;
      row_count[lid] = 0u;
      row_sequence[lid] = 0xffffffffu;
    }
  }
  workgroupBarrier();
  if (lid == 0u) {
    // What the rows of one sequence see: that of the row which this workgroup is for, unless one before it is of the same.
    var run = vec4u(0xffffffffu, 0u, row_sequence[wid.z], 0u);
    var leads = true;
    for (var i = 0u; i < ${height}u; i++) {
      if (row_sequence[i] == run.z && row_count[i] > 0u) {
        leads = leads && i >= wid.z;
        run.x = min(run.x, row_first[i]);
        run.y = max(run.y, row_first[i] + row_count[i]);
      }
    }
    if (!leads) { run.y = 0u; }
    seen = run;
  }
  let run = workgroupUniformLoad(&seen);
  if (run.y == 0u) { return; }
  for (var e = lid; e < ${(R * D) / source.unit}u; e += ${threads}u) {
    let r = e / ${D / source.unit}u;
    let row = min(row0 + r / ${chunk}u, params.rows - 1u);
    let unit = ${source.read(v.queries, `(row * ${heads}u + head0 + r % ${chunk}u) * ${D / source.unit}u + e % ${D / source.unit}u`)};
    let d = e % ${D / source.unit}u * ${source.unit}u;
    ${math.put("query", queries.dtype === "float16", "unit", "r", "d")}
  }
  ${lookUp("run.x")}
  workgroupBarrier();
  let r_own = lid / ${team}u;
  let c_own = lid % ${team}u;
  let place = min(r_own / ${chunk}u, ${height - 1}u);
  var top = f32(${NO_MAXIMUM});
  var total = 0.0;
  ${math.start}
  let first = row_first[place];
  let count = select(0u, row_count[place], row_sequence[place] == run.z);
  for (var base = run.x; base < run.y; base += ${C}u) {
    ${stage("key")}
    ${math.together ? stage("value") : ""}
    workgroupBarrier();
    ${math.scores}
    workgroupBarrier();
    ${math.together ? "" : stage("value")}
    var highest = f32(${MASKED});
${each(
  turns,
  (t) => `
    let x${t} = select(${MASKED}, params.scale * ${math.score("r_own", `c_own + ${t * team}u`)}, base + c_own + ${t * team}u - first < count);
    highest = max(highest, x${t});`,
)}
    partials[lid] = highest;
    workgroupBarrier();
${each(team, (j) => `highest = max(highest, partials[r_own * ${team}u + ${j}u]);`)}
    highest = max(highest, top);
    let factor = worth(top, highest);
    top = highest;
    total *= factor;
    if (c_own == 0u) { factors[r_own] = factor; }
${each(
  turns,
  (t) => `{
      let weight = exp2(x${t} - top);
      total += weight;
      ${math.weight("r_own", `c_own + ${t * team}u`, "weight")}
    }`,
)}
    workgroupBarrier();
    // Both keys and values are here: where the next ones lie is looked up meanwhile.
    ${lookUp(`base + ${C}u`)}
    ${math.accumulate}
    workgroupBarrier();
  }
  partials[lid] = total;
  workgroupBarrier();
  if (c_own == 0u) {
${each(team - 1, (j) => `total += partials[lid + ${j + 1}u];`)}
    ${
      sinks
        ? `let all = merged(vec2f(top, total), ${sinkPart(sinkLogit(v.sinks, `head0 + r_own % ${chunk}u`))});
    factors[r_own] = worth(top, all.x) / max(all.y, 1e-30);`
        : "factors[r_own] = 1.0 / max(total, 1e-30);"
    }
  }
  workgroupBarrier();
  ${math.finish(
    (r, d, value) => `
  if (${r} < ${chunk * height}u && row_sequence[${r} / ${chunk}u] == run.z) {
    ${v.out.at(`((row0 + ${r} / ${chunk}u) * ${heads}u + head0 + ${r} % ${chunk}u) * ${D}u + ${d}`)} = ${value};
  }`,
  )}
}`
    },
  })
}
