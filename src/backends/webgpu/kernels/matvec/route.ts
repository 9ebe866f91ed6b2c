import { componentsOf } from "../../../../ir/operands.js"
import type { WeightOf } from "../../../../ir/type.js"
import type { Operand } from "../../../../ir/program.js"
import { ofRows } from "../../bindable.js"
import { type Dispatch, dispatch, type KernelContext, operandBytes, reads, type View, writes } from "../../dispatch.js"
import { shuffles } from "../../features.js"
import { countPlace, keepIfFirst, largest, largestBytes, storeLargest } from "../../wgsl/ranking.js"
import { chunkFormat, weightAccessors, weightViews } from "./chunk.js"
import { chunksPerLane, isStageable, LANES, type Norm, normMemory, normView, stageMemory, stageRows } from "./stage.js"
import { reductionMemory, streamTasks } from "./stream.js"
import { workgroupBytes } from "./tuning.js"

export interface Route {
  readonly x: Operand
  readonly norm: Norm
  readonly k: number
  readonly weight: WeightOf<Operand>
  /** uint32 `[L, k]` */
  readonly ids: Operand
  /** float32 `[L, k]` */
  readonly scores: Operand
}

/**
 * `route` for few rows, one workgroup each: RMS norm, router logits, the k largest and their softmax. Null as in
 * `fewRows`.
 */
export function routeFewRows({ x, norm, k, weight, ids, scores }: Route, context: KernelContext): Dispatch[] | null {
  const { features } = context
  const [, K] = x.shape
  const [E] = weight.weight.shape
  const parts = componentsOf(weight)
  // The choice of experts hangs on small differences.
  const chunk = chunkFormat(weight, K, features, true)
  if (!chunk || !isStageable(x, norm) || context.ranges(parts).length > 1) return null
  const groups = Math.min(E, Math.floor(features.maxInvocations / LANES), 32)
  const threads = groups * LANES
  const memory = workgroupBytes({ chunk, K, slots: 1, totals: 1, groups, features }) + 4 * E + largestBytes(k)
  const tasks = Math.ceil(E / groups)
  if (memory > features.maxWorkgroupStorage || tasks > 64) return null
  const views: Record<string, View> = {
    x: reads(x, "vec4<f32>"),
    norm: normView(norm),
    ...weightViews(weight, "0"),
    routed: writes(ids, "u32"),
    scores: writes(scores, "f32"),
  }
  return [
    dispatch({
      label: `route ${chunk.name} ${E}x${K}, norm, top ${k}`,
      views,
      uses: [...chunk.uses, largest(k)],
      enable: shuffles(features),
      workgroups: ofRows(x, (L) => [L, 1, 1]),
      bytes: parts.reduce((sum, o) => sum + operandBytes(o), 0),
      code: (v) => {
        const w = weightAccessors(v, "0")
        const row = `min(task, ${E - 1}u)`
        const prologue = stageRows({
          chunk,
          K,
          threads,
          slots: 1,
          row: () => "wid.x",
          xStride: x.strides[0],
          norm,
          views: v,
          features,
        })
        return `
${stageMemory(chunk, K, 1)}
var<workgroup> logits: array<f32, ${E}>;
${normMemory(threads, 1, features)}
${reductionMemory(threads, 1, features)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % ${LANES}u;
  let group = lid / ${LANES}u;
  {${streamTasks({
    chunk,
    K,
    rows: [{ weights: w, operands: weight, row, slots: ["0u"] }],
    tasks,
    first: `group * ${tasks}u`,
    prologue,
    // One workgroup alone: all its loads at once.
    ahead: Math.min(chunksPerLane(chunk, K) * tasks, 8),
    features,
    extras: w.bias ? [{ name: "bias", value: w.bias.load(`${row} * ${weight.bias!.strides[0]}u`) }] : [],
    epilogue: ([total]) => `
if (lane == 0u && task < ${E}u) {
  logits[task] = ${total} * inverse0${w.bias ? " + bias" : ""};
}`,
  })}}
  workgroupBarrier();
  for (var n = lid; n < ${E}u; n += ${threads}u) {
    let own = logits[n];
    ${countPlace(`${E}u`, (i) => `logits[${i}]`)}
    ${keepIfFirst(k)}
  }
  workgroupBarrier();
  ${storeLargest(
    k,
    (slot) => v.routed.at(`wid.x * ${k}u + ${slot}`),
    (slot) => v.scores.at(`wid.x * ${k}u + ${slot}`),
  )}
}`
      },
    }),
  ]
}
