import { ofRows } from "../../bindable.js"
import { dispatch, grid, reads, workgroupIndex, writes } from "../../dispatch.js"
import { copy } from "../copy.js"
import type { Planner } from "../planner.js"

const SIZE = 64

/** A copy, then a thread per entry. What lies outside the logits is left out, as entries without a row are. */
export const adjustLogits: Planner<"adjust_logits"> = (
  _,
  { logits, rows, ids, bias, factor, shift },
  { y },
  context,
) => {
  return [
    ...copy({ kind: "copy", dtype: logits.dtype }, { x: logits }, { y }, context),
    dispatch({
      label: "adjust_logits",
      views: {
        rows: reads(rows, "u32"),
        ids: reads(ids, "u32"),
        bias: reads(bias, "f32"),
        factor: reads(factor, "f32"),
        shift: reads(shift, "f32"),
        out: writes(y, "f32"),
      },
      params: { entries: ofRows(rows, (U) => U), rows: ofRows(y, (W) => W), n: y.shape[1] },
      workgroups: ofRows(rows, (U) => grid(Math.ceil(U / SIZE))),
      code: (v) => /* wgsl */ `
@compute @workgroup_size(${SIZE})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let i = ${workgroupIndex} * ${SIZE}u + lid;
  if (i >= params.entries) { return; }
  let row = ${v.rows.at("i")};
  let id = ${v.ids.at("i")};
  if (row >= params.rows || id >= params.n) { return; }
  let at = row * params.n + id;
  let biased = ${v.out.at("at")} + ${v.bias.at("i")};
  let factor = ${v.factor.at("i")};
  ${v.out.at("at")} = select(biased * factor, biased / factor, biased > 0.0) + ${v.shift.at("i")};
}`,
    }),
  ]
}
