import type { Operand } from "../../../../ir/program.js"
import type { Accessor } from "../../dispatch.js"
import { ROTATION } from "../../wgsl/rotation.js"

/** How heads are rotated as they are read. */
export interface Rotate {
  readonly frequencies: Operand
  readonly scale: number
}

/**
 * WGSL for `turns`, which a workgroup fills for the position of its row, see {@link fillTurns}; and `rotated(base, d)`:
 * element `d` of the head of `x` that starts at `base`.
 */
export function rotatedHeads(x: Accessor, headDim: number): string {
  const half = headDim / 2
  return /* wgsl */ `
${ROTATION.text}
var<workgroup> turns: array<vec2f, ${half}>;
fn rotated(base: u32, d: u32) -> f32 {
  let turn = turns[d % ${half}u];
  let a = ${x.at("base + d")};
  if (d < ${half}u) { return a * turn.x - ${x.at(`base + d + ${half}u`)} * turn.y; }
  return a * turn.x + ${x.at(`base + d - ${half}u`)} * turn.y;
}`
}

/** WGSL that fills `turns` for a position; before they are used there has to be a barrier. */
export function fillTurns(frequencies: Accessor, headDim: number, threads: number): string {
  return /* wgsl */ `
  for (var i = lid; i < ${headDim / 2}u; i += ${threads}u) {
    turns[i] = params.rope_scale * rotation(position, ${frequencies.at("i")});
  }`
}
