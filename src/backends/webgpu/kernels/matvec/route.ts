import type { WeightFormat } from "../../../ops.js"
import type { Operand } from "../../../program.js"
import { type Dispatch, dispatch, type KernelContext, reads, type View, writes } from "../../dispatch.js"
import { chunkFormat, range, weightAccessors, weightViews } from "./chunk.js"
import {
  enables,
  LANES,
  operandBytes,
  reduceLanes,
  reductionMemory,
  rowVectors,
  stageRow,
  streamRows,
} from "./matvec.js"

interface Route {
  readonly x: Operand
  readonly norm: { readonly weight: Operand; readonly eps: number }
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
  const chunk = chunkFormat(format, weights[0], K, features)
  if (!chunk || x.offset % 16 !== 0 || context.ranges(weights).length > 1) return null
  const groups = Math.min(E, Math.floor(features.maxInvocations / LANES), 32)
  const rows = Math.ceil(E / groups)
  const threads = groups * LANES
  const width = Math.min(features.subgroups?.min ?? 1, LANES)
  const bytes = rowVectors(chunk, K) * 16 + (threads * rows * 4) / width + threads * 4 + E * 4
  if (bytes > features.maxWorkgroupStorage || rows > 16) return null
  const accumulators = range(rows).map((r) => `acc${r}_0`)
  const views: Record<string, View> = {
    x: reads(x, "vec4<f32>"),
    norm: reads(norm.weight, "u32"),
    ...weightViews(format, weights, "0"),
    out: writes(output, "u32"),
  }
  return [
    dispatch({
      label: `route ${chunk.name} ${E}x${K}, norm, top ${k}`,
      views,
      params: { L },
      enable: enables(features),
      workgroups: [L, 1, 1],
      bytes: weights.reduce((sum, o) => sum + operandBytes(o), 0),
      code: (v) => {
        const w = weightAccessors(v, "0")
        const { strides } = weights[weights.length - 1]
        const streamed = range(rows).map((r) => ({
          weights: w,
          operands: weights,
          row: `min(row0 + ${r}u, ${E - 1}u)`,
        }))
        return `
var<workgroup> xs: array<${chunk.staged}, ${rowVectors(chunk, K)}>;
var<workgroup> squares: array<f32, ${threads}>;
var<workgroup> logits: array<f32, ${E}>;
${reductionMemory(threads, rows, features)}
${chunk.functions}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % ${LANES}u;
  let group = lid / ${LANES}u;
  let row0 = group * ${rows}u;
  {${stageRow({ chunk, K, threads, row: "wid.x", slot: "0u", x: v.x, xStride: x.strides[0], norm: { weight: v.norm, eps: norm.eps } })}}
  workgroupBarrier();
  ${accumulators.map((a) => `var ${a} = 0.0;`).join(" ")}
  ${streamRows(chunk, K, streamed, ["0u"])}
  ${reduceLanes(accumulators, features)}
  for (var i = lane; i < ${rows}u; i += ${LANES}u) {
    let n = row0 + i;
    if (n < ${E}u) { logits[n] = total(group, i)${w.bias ? ` + ${w.bias.load(`n * ${strides[0]}u`)}` : ""}; }
  }
  workgroupBarrier();
  // Each expert counts those before it: k rounds of a search would wait on each other.
  for (var n = lid; n < ${E}u; n += ${threads}u) {
    let mine = logits[n];
    var rank = 0u;
    var highest = mine;
    for (var other = 0u; other < ${E}u; other++) {
      let value = logits[other];
      highest = max(highest, value);
      if (value > mine || (value == mine && other < n)) { rank++; }
    }
    if (rank < ${k}u) {
      squares[rank] = exp(mine - highest);
      ${v.out.at(`wid.x * ${k}u + rank`)} = n;
    }
  }
  workgroupBarrier();
  if (lid < ${k}u) {
    var sum = 0.0;
    for (var i = 0u; i < ${k}u; i++) { sum += squares[i]; }
    ${v.out.at(`(params.L + wid.x) * ${k}u + lid`)} = bitcast<u32>(squares[lid] / sum);
  }
}`
      },
    }),
  ]
}
