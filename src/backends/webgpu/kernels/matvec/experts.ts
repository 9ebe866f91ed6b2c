import type { WeightFormat } from "../../../ops.js"
import type { Operand } from "../../../program.js"
import { type Accessor, type Dispatch, dispatch, type KernelContext, reads, type View, writes } from "../../dispatch.js"
import { type ChunkFormat, chunkFormat, range, weightAccessors, weightViews } from "./chunk.js"
import {
  enables,
  LANES,
  operandBytes,
  reduceLanes,
  reductionMemory,
  rowVectors,
  stageRow,
  streamRows,
  wgslFloat,
} from "./matvec.js"
import { splitWeights, tune } from "./products.js"

interface GateUp {
  readonly x: Operand
  readonly norm: { readonly weight: Operand; readonly eps: number } | null
  readonly ids: Operand
  readonly formats: readonly [WeightFormat, WeightFormat]
  readonly weights: readonly Operand[]
  readonly alpha: number
  readonly limit: number
  readonly output: Operand
}

/**
 * `gather_swiglu` and `norm_gather_swiglu` for few rows: x `[L, K]` through the gate and up rows of each chosen expert,
 * then gpt-oss's clamped SwiGLU. One workgroup handles some rows of one expert of one token. Null as in `fewRows`.
 */
export function gateUpFewRows(of: GateUp, context: KernelContext): Dispatch[] | null {
  const { x, norm, ids, formats, output } = of
  const { features } = context
  const [L, K] = x.shape
  const [, k, N] = output.shape
  const [gate, up] = splitWeights(formats, of.weights)
  const chunk = sameChunk([gate, up], formats, K, context)
  const tuning = chunk && tune(chunk, K, 1, context)
  if (!chunk || !tuning || x.offset % 16 !== 0 || context.ranges([...gate, ...up]).length > 1) return null
  const pairs = Math.max(1, tuning.rows / 2)
  const threads = tuning.groups * LANES
  const blockRows = tuning.groups * pairs
  const views: Record<string, View> = {
    x: reads(x, "vec4<f32>"),
    ids: reads(ids, "u32"),
    ...weightViews(formats[0], gate, "0"),
    ...weightViews(formats[1], up, "1"),
    out: writes(output, "f32"),
  }
  if (norm) views.norm = reads(norm.weight, "u32")
  const accumulators = range(2 * pairs).map((r) => `acc${r}_0`)
  return [
    dispatch({
      label: `experts gate+up ${chunk.name} ${N}x${K}${norm ? ", norm" : ""}`,
      views,
      enable: enables(features),
      workgroups: [Math.ceil(N / blockRows), L * k, 1],
      bytes: (L * k * [...gate, ...up].reduce((sum, o) => sum + operandBytes(o), 0)) / gate[0].shape[0],
      code: (v) => {
        const [g, u] = [weightAccessors(v, "0"), weightAccessors(v, "1")]
        const row = (i: number) => `min(row0 + ${i}u, ${N - 1}u)`
        const rows = range(pairs).flatMap((i) => [
          { weights: g, operands: gate, row: row(i), expert: "expert" },
          { weights: u, operands: up, row: row(i), expert: "expert" },
        ])
        return `
var<workgroup> xs: array<${chunk.staged}, ${rowVectors(chunk, K)}>;
${reductionMemory(threads, accumulators.length, features)}
${norm ? `var<workgroup> squares: array<f32, ${threads}>;` : ""}
${chunk.functions}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % ${LANES}u;
  let group = lid / ${LANES}u;
  let token = wid.y / ${k}u;
  let expert = ${v.ids.at("wid.y")};
  let row0 = (wid.x * ${tuning.groups}u + group) * ${pairs}u;
  {${stageRow({ chunk, K, threads, row: "token", slot: "0u", x: v.x, xStride: x.strides[0], norm: norm && { weight: v.norm, eps: norm.eps } })}}
  workgroupBarrier();
  ${accumulators.map((a) => `var ${a} = 0.0;`).join(" ")}
  ${streamRows(chunk, K, rows, ["0u"])}
  ${reduceLanes(accumulators, features)}
  for (var i = lane; i < ${pairs}u; i += ${LANES}u) {
    let n = row0 + i;
    if (n < ${N}u) {
      let gate = min(total(group, 2u * i)${biasOf(formats[0], g.bias, gate)}, ${wgslFloat(of.limit)});
      let up = clamp(total(group, 2u * i + 1u)${biasOf(formats[1], u.bias, up)}, -${wgslFloat(of.limit)}, ${wgslFloat(of.limit)});
      ${v.out.at(`wid.y * ${N}u + n`)} = (up + 1.0) * gate / (1.0 + exp(-${wgslFloat(of.alpha)} * gate));
    }
  }
}`
      },
    }),
  ]
}

interface Down {
  readonly x: Operand
  readonly ids: Operand
  readonly format: WeightFormat
  readonly weights: readonly Operand[]
  readonly scores: Operand
  readonly residual: Operand
  readonly output: Operand
}

/**
 * `gather_matmul_sum` for few rows: x `[L, k, K]` through each chosen expert, weighted, summed and added to the residual.
 * Each group of lanes takes one expert; a workgroup takes all experts of some rows of one token. Null as in `fewRows`.
 */
export function downFewRows(of: Down, context: KernelContext): Dispatch[] | null {
  const { x, ids, format, weights, scores, residual, output } = of
  const { features } = context
  const [L, k, K] = x.shape
  const [, N] = output.shape
  const chunk = sameChunk([weights], [format], K, context)
  if (!chunk || x.offset % 16 !== 0 || context.ranges(weights).length > 1) return null
  const rows = 4
  const threads = k * LANES
  const width = Math.min(features.subgroups?.min ?? 1, LANES)
  const bytes = k * rowVectors(chunk, K) * 16 + (threads * rows * 4) / width
  if (bytes > features.maxWorkgroupStorage || threads > features.maxInvocations) return null
  const accumulators = range(rows).map((r) => `acc${r}_0`)
  return [
    dispatch({
      label: `experts down ${chunk.name} ${N}x${K}, sum, residual`,
      views: {
        x: reads(x, "vec4<f32>"),
        ids: reads(ids, "u32"),
        ...weightViews(format, weights, "0"),
        scores: reads(scores, "f32"),
        residual: reads(residual, "f32"),
        out: writes(output, "f32"),
      } as Record<string, View>,
      enable: enables(features),
      workgroups: [Math.ceil(N / rows), L, 1],
      bytes: (L * k * weights.reduce((sum, o) => sum + operandBytes(o), 0)) / weights[0].shape[0],
      code: (v) => {
        const w = weightAccessors(v, "0")
        const streamed = range(rows).map((r) => ({
          weights: w,
          operands: weights,
          row: `min(row0 + ${r}u, ${N - 1}u)`,
          expert: "expert",
        }))
        return `
var<workgroup> xs: array<${chunk.staged}, ${k * rowVectors(chunk, K)}>;
${reductionMemory(threads, rows, features)}
${chunk.functions}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % ${LANES}u;
  let group = lid / ${LANES}u;
  let token = wid.y;
  let row0 = wid.x * ${rows}u;
  let expert = ${v.ids.at(`token * ${k}u + group`)};
  for (var j = 0u; j < ${k}u; j++) {
    let score = ${v.scores.at(`token * ${k}u + j`)};
    ${stageRow({ chunk, K, threads, row: `token * ${k}u + j`, slot: "j", x: v.x, xStride: K, norm: null, factor: "score" })}
  }
  workgroupBarrier();
  ${accumulators.map((a) => `var ${a} = 0.0;`).join(" ")}
  ${streamRows(chunk, K, streamed, ["group"])}
  ${reduceLanes(accumulators, features)}
  let n = row0 + lid;
  if (lid < ${rows}u && n < ${N}u) {
    var y = ${v.residual.at(`token * ${N}u + n`)};
    for (var j = 0u; j < ${k}u; j++) {
      y += total(j, lid);
      ${w.bias ? `y += ${v.scores.at(`token * ${k}u + j`)} * (0.0${biasOf(format, w.bias, weights, v.ids.at(`token * ${k}u + j`))});` : ""}
    }
    ${v.out.at(`token * ${N}u + n`)} = y;
  }
}`
      },
    }),
  ]
}

function sameChunk(
  weights: readonly (readonly Operand[])[],
  formats: readonly WeightFormat[],
  K: number,
  { features }: KernelContext,
): ChunkFormat | null {
  const chunks = weights.map(([weight], i) => chunkFormat(formats[i], weight, K, features))
  return chunks.every((chunk) => chunk && chunk.name === chunks[0]?.name) ? chunks[0] : null
}

/** WGSL that adds the bias of row n of an expert. */
function biasOf(
  format: WeightFormat,
  bias: Accessor | undefined,
  operands: readonly Operand[],
  expert = "expert",
): string {
  if (!format.bias || !bias) return ""
  const { strides } = operands[operands.length - 1]
  return ` + ${bias.load(`${expert} * ${strides[0]}u + n * ${strides[1]}u`)}`
}
