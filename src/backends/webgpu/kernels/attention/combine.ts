import type { Operand } from "../../../../ir/program.js"
import { ofRows } from "../../bindable.js"
import { type Dispatch, dispatch, reads, type View, writes } from "../../dispatch.js"
import { PARTIAL_SOFTMAX, sinkPart } from "../../wgsl/partial_softmax.js"
import { cacheLayout } from "./cache_layout.js"
import { hadamard } from "./hadamard.js"
import { type Attention, describe, sinkLogit } from "./problem.js"

/** What workgroups with shares of the keys leave: `sums` [L, Hq, splits, D], undefined where no key was visible. */
export interface Partials {
  readonly splits: number
  readonly sums: Operand
  /** Of each share, its maximum (in log2) and its sum of weights relative to that: [L, Hq, splits, 2]. */
  readonly weights: Operand
}

/** Adds the shares of the keys up, and the sinks; a workgroup per row and head. */
export function combine(of: Attention, { splits, sums, weights }: Partials): Dispatch {
  const { heads, headDim: D, sinks, output, values } = of
  const isRotated = cacheLayout(values, D).codes !== null
  const parts = Math.max(1, Math.min(splits, Math.floor(256 / D)))
  const threads = parts * D
  const each = Math.ceil(splits / parts)
  const views: Record<string, View> = {
    sums: reads(sums, "f32"),
    weights: reads(weights, "vec2<f32>"),
    out: writes(output, "f32"),
    ...(sinks ? { sinks: reads(sinks, "u32") } : {}),
  }
  return dispatch({
    label: `attention ${describe(of)} combine`,
    views,
    uses: [PARTIAL_SOFTMAX],
    workgroups: ofRows(output, (rows) => [heads, rows, 1]),
    code: (v) => /* wgsl */ `
var<workgroup> shares: array<vec2f, ${splits}>;
var<workgroup> pool: array<f32, ${threads}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let at = wid.y * ${heads}u + wid.x;
${Array.from({ length: each }, (_, i) => {
  const split = `min(lid / ${D}u + ${i * parts}u, ${splits - 1}u)`
  return `let part${i} = ${v.sums.at(`(at * ${splits}u + ${split}) * ${D}u + lid % ${D}u`)};`
}).join("\n")}
  for (var s = lid; s < ${splits}u; s += ${threads}u) { shares[s] = ${v.weights.at(`at * ${splits}u + s`)}; }
  workgroupBarrier();
  ${sinks ? `let sink = ${sinkPart(sinkLogit(v.sinks, "wid.x"))};` : ""}
  var top = ${sinks ? "sink" : "shares[0]"}.x;
  for (var s = 0u; s < ${splits}u; s++) { top = max(top, shares[s].x); }
  var total = ${sinks ? "weight_of(sink, top)" : "0.0"};
  for (var s = 0u; s < ${splits}u; s++) { total += weight_of(shares[s], top); }
  var sum = 0.0;
${Array.from({ length: each }, (_, i) => {
  const split = `lid / ${D}u + ${i * parts}u`
  return `{
    let split = ${split};
    if (split < ${splits}u) {
      let share = shares[split];
      if (share.y > 0.0) { sum += part${i} * worth(share.x, top); }
    }
  }`
}).join("\n")}
  pool[lid] = sum;
  workgroupBarrier();
  if (lid < ${D}u) {
    ${Array.from({ length: parts - 1 }, (_, i) => `sum += pool[lid + ${(i + 1) * D}u];`).join(" ")}
    ${isRotated ? "pool[lid]" : v.out.at(`at * ${D}u + lid`)} = sum / total;
  }
  ${
    isRotated
      ? `${hadamard("pool", 1, D, threads)}
  if (lid < ${D}u) { ${v.out.at(`at * ${D}u + lid`)} = pool[lid]; }`
      : ""
  }
}`,
  })
}
