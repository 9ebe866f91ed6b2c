import { componentsOf } from "../../../../ir/operands.js"
import type { OperandsOf } from "../../../../ir/operations.js"
import type { Operand } from "../../../../ir/program.js"
import { ofRows } from "../../bindable.js"
import { type Dispatch, dispatch, type KernelContext, operandBytes, reads, type View, writes } from "../../dispatch.js"
import { shuffles } from "../../features.js"
import { range } from "../../wgsl/range.js"
import { UNIT } from "../../wgsl/formats/chunk.js"
import { weightAccessors, weightViews } from "./chunk.js"
import { biases, sameChunk } from "./experts.js"
import { isStageable, LANES, stageMemory, stageRows } from "./stage.js"
import { reductionMemory, streamTasks } from "./stream.js"
import { tune, workgroupBytes } from "./tuning.js"

/**
 * `gather_matmul_sum` for few rows: x `[L, k, K]` through each chosen expert, weighted, summed and added to the residual.
 * A task is one row of all experts of a token, end to end, against their weighted activations. Null as in `fewRows`.
 */
export function downFewRows(
  { x, ids, weight, scores, residual }: OperandsOf<"gather_matmul_sum", Operand>,
  output: Operand,
  context: KernelContext,
): Dispatch[] | null {
  const parts = componentsOf(weight)
  const { features } = context
  const [L, k, K] = x.shape
  const [, N] = output.shape
  const chunk = sameChunk([weight], K, context)
  if (!chunk || !isStageable(x, null) || k > LANES || context.ranges(parts).length > 1) return null
  const tuning = tune(N, 1, features, (k * K) / UNIT)
  const threads = tuning.groups * LANES
  const memory = { chunk, K: k * K, slots: 1, totals: 1, groups: tuning.groups, features }
  if (workgroupBytes(memory) > features.maxWorkgroupStorage) return null
  return [
    dispatch({
      label: `experts down ${chunk.name} ${N}x${K}, sum, residual`,
      views: {
        x: reads(x, "vec4<f32>"),
        ids: reads(ids, "u32"),
        ...weightViews(weight, "0"),
        scores: reads(scores, "f32"),
        residual: reads(residual, "f32"),
        out: writes(output, "f32"),
      } as Record<string, View>,
      uses: chunk.uses,
      enable: shuffles(features),
      workgroups: ofRows(x, (L) => [Math.ceil(N / (tuning.groups * tuning.tasks)), L, 1]),
      bytes: (L * k * parts.reduce((sum, o) => sum + operandBytes(o), 0)) / weight.weight.shape[0],
      code: (v) => {
        const w = weightAccessors(v, "0")
        const score = (j: string) => v.scores.at(`wid.y * ${k}u + ${j}`)
        const row = `min(task, ${N - 1}u)`
        const prologue = stageRows({
          chunk,
          K: k * K,
          threads,
          slots: 1,
          row: () => "wid.y",
          xStride: k * K,
          norm: null,
          views: v,
          features,
          factor: (element) => score(`(${element}) / ${K}u`),
        })
        const [bias] = biases("bias", w.bias, weight, { row, expert: v.ids.at(`wid.y * ${k}u + own`) })
        return `
${stageMemory(chunk, k * K, 1)}
${reductionMemory(threads, 1, features)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % ${LANES}u;
  let group = lid / ${LANES}u;
  let own = min(lane, ${k - 1}u);
  ${range(k)
    .map((j) => `let expert${j} = ${v.ids.at(`wid.y * ${k}u + ${j}u`)};`)
    .join(" ")}
  ${streamTasks({
    chunk,
    K: k * K,
    parts: k,
    rows: [{ weights: w, operands: weight, row, expert: choose(k, "expert", "part"), slots: ["0u"] }],
    tasks: tuning.tasks,
    first: `(wid.x * ${tuning.groups}u + group) * ${tuning.tasks}u`,
    prologue,
    features,
    extras: [
      { name: "residual", value: v.residual.at(`wid.y * ${N}u + ${row}`) },
      // Each of the first lanes brings the bias of one expert.
      ...(bias ? [{ name: "bias", value: `select(0.0, ${score("own")} * ${bias.value}, lane < ${k}u)` }] : []),
    ],
    before: ([total]) => (bias ? `${total} += bias;` : ""),
    epilogue: ([total]) => `
if (lane == 0u && task < ${N}u) {
  ${v.out.at(`wid.y * ${N}u + task`)} = residual + ${total};
}`,
  })}
}`
      },
    }),
  ]
}

/** WGSL that picks one of `<name>0`, `<name>1`, ... by index. */
function choose(count: number, name: string, index: string): string {
  return range(count - 1).reduce((picked, i) => `select(${picked}, ${name}${i + 1}, ${index} == ${i + 1}u)`, `${name}0`)
}
