import { ofRows } from "../../bindable.js"
import { reads, writes } from "../../dispatch.js"
import { copy } from "../copy.js"
import { perThread } from "../per_thread.js"
import type { Planner } from "../planner.js"

/** A copy, then a thread per entry. What lies outside the logits is left out, as entries without a row are. */
export const adjustLogits: Planner<"adjust_logits"> = (
  _,
  { logits, rows, ids, bias, factor, shift },
  { y },
  context,
) => {
  return [
    ...copy({ kind: "copy", dtype: logits.dtype }, { x: logits }, { y }, context),
    perThread({
      label: "adjust_logits",
      views: {
        rows: reads(rows, "u32"),
        ids: reads(ids, "u32"),
        bias: reads(bias, "f32"),
        factor: reads(factor, "f32"),
        shift: reads(shift, "f32"),
        out: writes(y, "f32"),
      },
      params: { rows: ofRows(y, (W) => W), tokens: y.shape[1] },
      n: ofRows(rows, (U) => U),
      body: (v) => `let row = ${v.rows.at("i")};
  let id = ${v.ids.at("i")};
  if (row >= params.rows || id >= params.tokens) { return; }
  let at = row * params.tokens + id;
  let biased = ${v.out.at("at")} + ${v.bias.at("i")};
  let factor = ${v.factor.at("i")};
  ${v.out.at("at")} = select(biased * factor, biased / factor, biased > 0.0) + ${v.shift.at("i")};`,
    }),
  ]
}
