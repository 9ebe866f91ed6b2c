import type { WeightFormat } from "../../../ops.js"
import type { Operand } from "../../../program.js"
import { type Dispatch, dispatch, type KernelContext, operandBytes, reads, type View, writes } from "../../dispatch.js"
import { enables } from "../../features.js"
import { weightAccessors, weightViews } from "./chunk.js"
import { chunkFormat } from "./formats/choose.js"
import { chunksPerLane, isStageable, LANES, type Norm, normMemory, normView, stageMemory, stageRows } from "./stage.js"
import { reductionMemory, streamTasks } from "./stream.js"
import { workgroupBytes } from "./tuning.js"

export interface Route {
  readonly x: Operand
  readonly norm: Norm
  readonly k: number
  readonly format: WeightFormat
  readonly weights: readonly Operand[]
  /** uint32 `[2, L, k]`: ids, then the bits of their weights. */
  readonly output: Operand
}

/**
 * `route` for few rows, one workgroup each: RMS norm, router logits, the k largest and their softmax. Null as in
 * `fewRows`.
 */
export function routeFewRows(
  { x, norm, k, format, weights, output }: Route,
  context: KernelContext,
): Dispatch[] | null {
  const { features } = context
  const [L, K] = x.shape
  const [E] = weights[0].shape
  // The choice of experts hangs on small differences.
  const chunk = chunkFormat(format, weights[0], K, features, true)
  if (!chunk || !isStageable(x, norm) || context.ranges(weights).length > 1) return null
  const groups = Math.min(E, Math.floor(features.maxInvocations / LANES), 32)
  const threads = groups * LANES
  const memory = workgroupBytes({ chunk, K, slots: 1, totals: 1, groups, features }) + (E + 2 * k) * 4
  const tasks = Math.ceil(E / groups)
  if (memory > features.maxWorkgroupStorage || tasks > 64) return null
  const views: Record<string, View> = {
    x: reads(x, "vec4<f32>"),
    norm: normView(norm),
    ...weightViews(format, weights, "0"),
    out: writes(output, "u32"),
  }
  return [
    dispatch({
      label: `route ${chunk.name} ${E}x${K}, norm, top ${k}`,
      views,
      enable: enables(features),
      workgroups: [L, 1, 1],
      bytes: weights.reduce((sum, o) => sum + operandBytes(o), 0),
      code: (v) => {
        const w = weightAccessors(v, "0")
        const { strides } = weights[weights.length - 1]
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
var<workgroup> ids: array<u32, ${k}>;
var<workgroup> odds: array<f32, ${k}>;
${normMemory(threads, 1, features)}
${reductionMemory(threads, 1, features)}
${chunk.functions}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % ${LANES}u;
  let group = lid / ${LANES}u;
  {${streamTasks({
    chunk,
    K,
    rows: [{ weights: w, operands: weights, row, slots: ["0u"] }],
    tasks,
    first: `group * ${tasks}u`,
    prologue,
    // One workgroup alone: all its loads at once.
    ahead: Math.min(chunksPerLane(chunk, K) * tasks, 8),
    features,
    extras: w.bias ? [{ name: "bias", value: w.bias.load(`${row} * ${strides[0]}u`) }] : [],
    epilogue: ([total]) => `
if (lane == 0u && task < ${E}u) {
  logits[task] = ${total} * inverse0${w.bias ? " + bias" : ""};
}`,
  })}}
  workgroupBarrier();
  // Each expert counts those before it: k rounds of a search would wait on each other.
  for (var n = lid; n < ${E}u; n += ${groups * LANES}u) {
    let mine = logits[n];
    var rank = 0u;
    var highest = mine;
    for (var other = 0u; other < ${E}u; other++) {
      let value = logits[other];
      highest = max(highest, value);
      if (value > mine || (value == mine && other < n)) { rank++; }
    }
    if (rank < ${k}u) {
      ids[rank] = n;
      odds[rank] = exp(mine - highest);
    }
  }
  workgroupBarrier();
  if (lid < ${k}u) {
    var sum = 0.0;
    for (var i = 0u; i < ${k}u; i++) { sum += odds[i]; }
    ${v.out.at(`wid.x * ${k}u + lid`)} = ids[lid];
    ${v.out.at(`(nwg.x + wid.x) * ${k}u + lid`)} = bitcast<u32>(odds[lid] / sum);
  }
}`
      },
    }),
  ]
}
