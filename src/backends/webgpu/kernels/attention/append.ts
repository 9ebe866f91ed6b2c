import type { Operand } from "../../../../ir/program.js"
import { ofRows } from "../../bindable.js"
import { type Dispatch, dispatch, reads, type View } from "../../dispatch.js"
import { rotation } from "../../wgsl/rotation.js"
import { type Attention, cacheLayout, describe, rowParams, rowViews, visible } from "./problem.js"

const SIZE = 256

/**
 * Rotates the new keys and appends them and the new values to the caches, and rotates the queries into `queries` if there
 * is such, [L, Hq, D]; a workgroup per row.
 */
export function append(
  of: Attention,
  qkv: Operand,
  rotate: { readonly frequencies: Operand; readonly scale: number },
  queries: Operand | null,
): Dispatch {
  const { rows, heads, kvHeads, headDim: D, keys, values, sequences } = of
  const layout = cacheLayout(keys, D)
  const stored = queries && cacheLayout(queries, D)
  const units = (kvHeads * D) / layout.unit
  const views: Record<string, View> = {
    x: reads(qkv, "f32"),
    frequencies: reads(rotate.frequencies, "f32"),
    keys: layout.view(keys, true),
    values: layout.view(values, true),
    ...rowViews(of),
    ...(queries && stored ? { queries: stored.view(queries, true) } : {}),
  }
  return dispatch({
    label: `rope and append ${describe(of)}`,
    views,
    params: { ...rowParams(of), rope_scale: { f32: rotate.scale } },
    workgroups: ofRows(of.output, (rows) => [rows, 1, 1]),
    code: (v) => {
      const store = (
        to: string,
        unit: number,
        base: string,
        at: string,
        pack: (e: (i: number) => string) => string,
      ) => `
    let base = ${base};
    let d = ${at} * ${unit}u % ${D}u;
    ${to} = ${pack((i) => `rotated(base, d + ${i}u)`)};`
      return /* wgsl */ `
${visible(v)}
${rotation}
var<workgroup> turns: array<vec2f, ${D / 2}>;
var<workgroup> last: atomic<u32>;
fn rotated(base: u32, d: u32) -> f32 {
  let turn = turns[d % ${D / 2}u];
  let a = ${v.x.at("base + d")};
  if (d < ${D / 2}u) { return a * turn.x - ${v.x.at(`base + d + ${D / 2}u`)} * turn.y; }
  return a * turn.x + ${v.x.at(`base + d - ${D / 2}u`)} * turn.y;
}
@compute @workgroup_size(${SIZE})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let row = wid.x;
  let sequence = sequence_of(row);
  let position = ${v.positions.at("row")};
  for (var i = lid; i < ${D / 2}u; i += ${SIZE}u) {
    turns[i] = params.rope_scale * rotation(position, ${v.frequencies.at("i")});
  }
  ${
    // Of rows of one sequence that take one slot, the last stays.
    sequences && rows > of.capacity
      ? `for (var other = row + lid; other < params.rows; other += ${SIZE}u) {
    if (sequence_of(other) == sequence) { atomicMax(&last, ${v.positions.at("other")}); }
  }`
      : ""
  }
  workgroupBarrier();
  let x_row = row * ${(heads + 2 * kvHeads) * D}u;
  ${
    queries && stored
      ? `for (var i = lid; i < ${(heads * D) / stored.unit}u; i += ${SIZE}u) {${store(
          v.queries.at(`row * ${(heads * D) / stored.unit}u + i`),
          stored.unit,
          `x_row + i * ${stored.unit}u / ${D}u * ${D}u`,
          "i",
          stored.pack,
        )}
  }`
      : ""
  }
  if (atomicLoad(&last) >= position + params.capacity) { return; }
  let slot = (sequence * params.capacity + position % params.capacity) * ${units}u;
  for (var i = lid; i < ${units}u; i += ${SIZE}u) {${store(
    v.keys.at("slot + i"),
    layout.unit,
    `x_row + ${heads * D}u + i * ${layout.unit}u / ${D}u * ${D}u`,
    "i",
    layout.pack,
  )}
    let value = x_row + ${(heads + kvHeads) * D}u + i * ${layout.unit}u;
    ${v.values.at("slot + i")} = ${layout.pack((i) => v.x.at(`value + ${i}u`))};
  }
}`
    },
  })
}
