import { ofRows } from "../bindable.js"
import { reads, writes } from "../dispatch.js"
import { ROTATION } from "../wgsl/rotation.js"
import { perThread } from "./per_thread.js"
import type { Planner } from "./planner.js"

/** Rotates the pairs `(i, i + D / 2)` of every head; a thread per pair. */
export const rope: Planner<"rope"> = ({ scale }, { x, positions, inv_freq }, { y }) => {
  const [, heads, headDim] = x.shape
  const half = headDim / 2
  return [
    perThread({
      label: "rope",
      views: {
        x: reads(x, "f32"),
        positions: reads(positions, "u32"),
        frequencies: reads(inv_freq, "f32"),
        out: writes(y, "f32"),
      },
      params: { scale: { f32: scale } },
      n: ofRows(x, (L) => L * heads * half),
      uses: [ROTATION],
      body: ({ x, positions, frequencies, out }) => `let within = i % ${half}u;
  let turn = params.scale * rotation(${positions.at(`i / ${heads * half}u`)}, ${frequencies.at("within")});
  let at = i / ${half}u * ${headDim}u + within;
  let a = ${x.at("at")};
  let b = ${x.at(`at + ${half}u`)};
  ${out.at("at")} = a * turn.x - b * turn.y;
  ${out.at(`at + ${half}u`)} = b * turn.x + a * turn.y;`,
    }),
  ]
}
