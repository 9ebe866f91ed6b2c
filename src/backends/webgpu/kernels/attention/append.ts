import type { Operand } from "../../../../ir/program.js"
import { ofRows } from "../../bindable.js"
import { type Dispatch, dispatch, reads, type View } from "../../dispatch.js"
import { cacheLayout } from "./cache_layout.js"
import { type Attention, describe } from "./problem.js"
import { fillTurns, type Rotate, rotatedHeads } from "./rotated.js"

const SIZE = 256

/**
 * Rotates the new keys and puts them and the new values into their slots, and rotates the queries into `queries` if there
 * is such, [L, Hq, D]; a workgroup per row.
 */
export function append(of: Attention, qkv: Operand, slots: Operand, rotate: Rotate, queries: Operand | null): Dispatch {
  const { heads, kvHeads, headDim: D, positions, keys, values } = of
  const layout = cacheLayout(keys, D)
  const stored = queries && cacheLayout(queries, D)
  const units = (kvHeads * D) / layout.unit
  const views: Record<string, View> = {
    x: reads(qkv, "f32"),
    frequencies: reads(rotate.frequencies, "f32"),
    keys: layout.view(keys, true),
    values: layout.view(values, true),
    positions: reads(positions, "u32"),
    slots: reads(slots, "u32"),
    ...(queries && stored ? { queries: stored.view(queries, true) } : {}),
  }
  return dispatch({
    label: `rope and append ${describe(of)}`,
    views,
    params: { rope_scale: { f32: rotate.scale } },
    workgroups: ofRows(of.output, (rows) => [rows, 1, 1]),
    code: (v) => {
      /** Units of rotated heads, the first of which starts at `first`, to `to("i")`. */
      const rotatedUnits = ({ unit, pack }: typeof layout, count: number, first: string, to: string) => `
  for (var i = lid; i < ${count / unit}u; i += ${SIZE}u) {
    let base = ${first} + i * ${unit}u / ${D}u * ${D}u;
    let d = i * ${unit}u % ${D}u;
    ${to} = ${pack((e) => `rotated(base, d + ${e}u)`)};
  }`
      return /* wgsl */ `
${rotatedHeads(v.x, D)}
@compute @workgroup_size(${SIZE})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let row = wid.x;
  let position = ${v.positions.at("row")};
  let slot = ${v.slots.at("row")} * ${units}u;
  ${fillTurns(v.frequencies, D, SIZE)}
  workgroupBarrier();
  let x_row = row * ${(heads + 2 * kvHeads) * D}u;
  ${stored ? rotatedUnits(stored, heads * D, "x_row", v.queries.at(`row * ${(heads * D) / stored.unit}u + i`)) : ""}
  ${rotatedUnits(layout, kvHeads * D, `x_row + ${heads * D}u`, v.keys.at("slot + i"))}
  for (var i = lid; i < ${units}u; i += ${SIZE}u) {
    let value = x_row + ${(heads + kvHeads) * D}u + i * ${layout.unit}u;
    ${v.values.at("slot + i")} = ${layout.pack((e) => v.x.at(`value + ${e}u`))};
  }
}`
    },
  })
}
