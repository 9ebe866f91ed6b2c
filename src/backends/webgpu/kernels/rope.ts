import type { KernelOf, OperandsOf } from "../../../ir/operations.js"
import type { Operand } from "../../../ir/program.js"
import { ofRows } from "../bindable.js"
import { type Dispatch, dispatch, grid, reads, workgroupIndex, writes } from "../dispatch.js"
import { rotation } from "../wgsl/rotation.js"

const SIZE = 256

/** Rotates the pairs `(i, i + D / 2)` of every head; a thread per pair. */
export function rope(
  { scale }: KernelOf<"rope">,
  { x, positions, inv_freq }: OperandsOf<"rope", Operand>,
  { y: output }: { y: Operand },
): Dispatch[] {
  const [, heads, headDim] = x.shape
  const half = headDim / 2
  const pairs = (L: number) => L * heads * half
  return [
    dispatch({
      label: "rope",
      views: {
        x: reads(x, "f32"),
        positions: reads(positions, "u32"),
        frequencies: reads(inv_freq, "f32"),
        out: writes(output, "f32"),
      },
      params: { n: ofRows(x, pairs), scale: { f32: scale } },
      workgroups: ofRows(x, (L) => grid(Math.ceil(pairs(L) / SIZE))),
      code: ({ x, positions, frequencies, out }) => /* wgsl */ `
${rotation}
@compute @workgroup_size(${SIZE})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let pair = ${workgroupIndex} * ${SIZE}u + lid;
  if (pair >= params.n) { return; }
  let i = pair % ${half}u;
  let turn = params.scale * rotation(${positions.at(`pair / ${heads * half}u`)}, ${frequencies.at("i")});
  let at = pair / ${half}u * ${headDim}u + i;
  let a = ${x.at("at")};
  let b = ${x.at(`at + ${half}u`)};
  ${out.at("at")} = a * turn.x - b * turn.y;
  ${out.at(`at + ${half}u`)} = b * turn.x + a * turn.y;
}`,
    }),
  ]
}
