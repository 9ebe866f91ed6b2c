import type { Operand } from "../../../../ir/program.js"
import { ofElements, ofRows } from "../../bindable.js"
import { type Dispatch, dispatch, grid, reads, workgroupIndex, writes } from "../../dispatch.js"
import { countPlace, keepIfFirst, largest, storeLargest } from "../../wgsl/ranking.js"
import { BUILTINS, perThread } from "../per_thread.js"

const THREADS = 256

/** RMS norm of the rows of x [L, K], a workgroup each, into f32 or f16. */
export function normRows(x: Operand, weight: Operand, eps: number, out: Operand): Dispatch {
  const [, K] = x.shape
  const f16 = out.dtype === "float16"
  return dispatch({
    label: `norm rows ${out.dtype}`,
    views: { x: reads(x, "f32"), weight: reads(weight, "u32"), out: writes(out, f16 ? "f16" : "f32") },
    params: { rows: ofRows(x, (rows) => rows) },
    enable: f16 ? ["f16"] : [],
    workgroups: ofRows(x, grid),
    code: ({ x, weight, out }) => /* wgsl */ `
var<workgroup> sums: array<f32, ${THREADS}>;
@compute @workgroup_size(${THREADS})
fn main(${BUILTINS}) {
  let row = ${workgroupIndex};
  if (row >= params.rows) { return; }
  let start = row * ${K}u;
  var sum = 0.0;
  for (var i = lid; i < ${K}u; i += ${THREADS}u) { let v = ${x.at("start + i")}; sum += v * v; }
  sums[lid] = sum;
  workgroupBarrier();
  for (var half = ${THREADS / 2}u; half > 0u; half >>= 1u) {
    if (lid < half) { sums[lid] += sums[lid + half]; }
    workgroupBarrier();
  }
  let scale = inverseSqrt(sums[0] / ${K}.0 + ${eps});
  for (var i = lid; i < ${K}u; i += ${THREADS}u) {
    ${out.at("start + i")} = ${f16 ? "f16" : ""}(${x.at("start + i")} * scale * ${weight.load("i")});
  }
}`,
  })
}

/** Adds the slices [slices, ...] of a product. */
export function sumSlices(parts: Operand, slices: number, out: Operand): Dispatch {
  return perThread({
    label: "sum slices",
    views: { parts: reads(parts, "f32"), out: writes(out, "f32") },
    params: { slices },
    n: ofElements(out, (n) => n),
    body: ({ parts, out }) => `var sum = 0.0;
  for (var slice = 0u; slice < params.slices; slice++) { sum += ${parts.at("slice * params.n + i")}; }
  ${out.at("i")} = sum;`,
  })
}

/**
 * The k largest of each row of logits, given as slices [slices, L, E] to be added, ties to the lower index: their
 * indices (uint32) and their softmax, [L, k] each. A workgroup per row.
 */
export function expertsOfLogits(logits: Operand, slices: number, ids: Operand, scores: Operand): Dispatch {
  const [, k] = ids.shape
  const E = logits.shape[logits.shape.length - 1]
  return dispatch({
    label: `top ${k} of ${E}`,
    views: { logits: reads(logits, "f32"), ids: writes(ids, "u32"), scores: writes(scores, "f32") },
    params: { rows: ofRows(ids, (rows) => rows), slices },
    workgroups: ofRows(ids, grid),
    uses: [largest(k)],
    code: ({ logits, ids, scores }) => /* wgsl */ `
var<workgroup> values: array<f32, ${E}>;
@compute @workgroup_size(64)
fn main(${BUILTINS}) {
  let row = ${workgroupIndex};
  if (row >= params.rows) { return; }
  for (var e = lid; e < ${E}u; e += 64u) {
    var sum = 0.0;
    for (var slice = 0u; slice < params.slices; slice++) { sum += ${logits.at(`(slice * params.rows + row) * ${E}u + e`)}; }
    values[e] = sum;
  }
  workgroupBarrier();
  for (var n = lid; n < ${E}u; n += 64u) {
    let own = values[n];
    ${countPlace(`${E}u`, (i) => `values[${i}]`)}
    ${keepIfFirst(k)}
  }
  workgroupBarrier();
  ${storeLargest(
    k,
    (slot) => ids.at(`row * ${k}u + ${slot}`),
    (slot) => scores.at(`row * ${k}u + ${slot}`),
  )}
}`,
  })
}
