import type { WeightFormat } from "../../../ops.js"
import type { Operand } from "../../../program.js"
import { type Accessor, type Dispatch, dispatch, type KernelContext, reads, type View, writes } from "../../dispatch.js"
import { splitWeights } from "../composed.js"
import { type ChunkFormat, chunkFormat, range, weightAccessors, weightViews } from "./chunk.js"
import { enables, type Norm, operandBytes } from "./matvec.js"
import { isStageable, LANES, normMemory, normView, rowVectors, stageRows, wgslFloat } from "./stage.js"
import { isWide, reductionMemory, streamTasks } from "./stream.js"
import { tune, workgroupBytes } from "./tuning.js"

interface GateUp {
  readonly x: Operand
  readonly norm: Norm | null
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
  if (!chunk || !isStageable(x, norm) || context.ranges([...gate, ...up]).length > 1) return null
  const tuning = tune(k * N, 1, features, K / chunk.unit)
  const threads = tuning.groups * LANES
  const memory = { chunk, K, slots: 1, totals: 2, groups: tuning.groups, features }
  if (workgroupBytes(memory) > features.maxWorkgroupStorage) return null
  const views: Record<string, View> = {
    x: reads(x, "vec4<f32>"),
    ids: reads(ids, "u32"),
    ...weightViews(formats[0], gate, "0"),
    ...weightViews(formats[1], up, "1"),
    out: writes(output, "f32"),
  }
  if (norm) views.norm = normView(norm)
  return [
    dispatch({
      label: `experts gate+up ${chunk.name} ${N}x${K}${norm ? ", norm" : ""}`,
      views,
      enable: enables(features),
      workgroups: [Math.ceil((k * N) / (tuning.groups * tuning.tasks)), L, 1],
      bytes: (L * k * [...gate, ...up].reduce((sum, o) => sum + operandBytes(o), 0)) / gate[0].shape[0],
      code: (v) => {
        const [g, u] = [weightAccessors(v, "0"), weightAccessors(v, "1")]
        const inverse = norm ? " * inverse0" : ""
        // Tasks past the end repeat the last one.
        const last = `min(task, ${k * N - 1}u)`
        const at = { row: `${last} % ${N}u`, expert: v.ids.at(`wid.y * ${k}u + ${last} / ${N}u`), slots: ["0u"] }
        const prologue = stageRows({
          chunk,
          K,
          threads,
          slots: 1,
          row: () => "wid.y",
          x: v.x,
          xStride: x.strides[0],
          norm: norm && { weight: v.norm, dtype: norm.weight.dtype, eps: norm.eps, wide: isWide(features) },
        })
        return `
var<workgroup> xs: array<${chunk.staged}, ${rowVectors(chunk, K)}>;
${reductionMemory(threads, 2, features)}
${norm ? normMemory(threads, 1, isWide(features)) : ""}
${chunk.functions}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % ${LANES}u;
  let group = lid / ${LANES}u;
  ${streamTasks({
    chunk,
    K,
    rows: [
      { weights: g, operands: gate, ...at },
      { weights: u, operands: up, ...at },
    ],
    tasks: tuning.tasks,
    first: `(wid.x * ${tuning.groups}u + group) * ${tuning.tasks}u`,
    prologue,
    features,
    extras: [...biases("gate_bias", g.bias, gate, at), ...biases("up_bias", u.bias, up, at)],
    epilogue: ([gateTotal, upTotal]) => `
if (lane == 0u && task < ${k * N}u) {
  let gate = min(${gateTotal}${inverse}${formats[0].bias ? " + gate_bias" : ""}, ${wgslFloat(of.limit)});
  let up = clamp(${upTotal}${inverse}${formats[1].bias ? " + up_bias" : ""}, -${wgslFloat(of.limit)}, ${wgslFloat(of.limit)});
  ${v.out.at(`wid.y * ${k * N}u + task`)} = (up + 1.0) * gate / (1.0 + exp(-${wgslFloat(of.alpha)} * gate));
}`,
  })}
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
 * A task is one row of all experts of a token, end to end, against their weighted activations. Null as in `fewRows`.
 */
export function downFewRows(of: Down, context: KernelContext): Dispatch[] | null {
  const { x, ids, format, weights, scores, residual, output } = of
  const { features } = context
  const [L, k, K] = x.shape
  const [, N] = output.shape
  const chunk = sameChunk([weights], [format], K, context)
  if (!chunk || !isStageable(x, null) || k > LANES || context.ranges(weights).length > 1) return null
  const tuning = tune(N, 1, features, (k * K) / chunk.unit)
  const threads = tuning.groups * LANES
  const memory = { chunk, K: k * K, slots: 1, totals: 1, groups: tuning.groups, features }
  if (workgroupBytes(memory) > features.maxWorkgroupStorage) return null
  return [
    dispatch({
      label: `experts down ${chunk.name} ${N}x${K}, sum, residual`,
      views: {
        x: reads(x, "vec4<f32>"),
        ids: reads(ids, "u32"),
        ...weightViews(format, weights, "0"),
        // Of the ids' type, as a route's ids and scores lie side by side, where bindings of two types would overlap.
        scores: reads(scores, "u32"),
        residual: reads(residual, "f32"),
        out: writes(output, "f32"),
      } as Record<string, View>,
      enable: enables(features),
      workgroups: [Math.ceil(N / (tuning.groups * tuning.tasks)), L, 1],
      bytes: (L * k * weights.reduce((sum, o) => sum + operandBytes(o), 0)) / weights[0].shape[0],
      code: (v) => {
        const w = weightAccessors(v, "0")
        const score = (j: string) => v.scores.load(`wid.y * ${k}u + ${j}`)
        const row = `min(task, ${N - 1}u)`
        const prologue = stageRows({
          chunk,
          K: k * K,
          threads,
          slots: 1,
          row: () => "wid.y",
          x: v.x,
          xStride: k * K,
          norm: null,
          factor: (element) => score(`(${element}) / ${K}u`),
        })
        const [bias] = biases("bias", w.bias, weights, { row, expert: v.ids.at(`wid.y * ${k}u + own`) })
        return `
var<workgroup> xs: array<${chunk.staged}, ${rowVectors(chunk, k * K)}>;
${reductionMemory(threads, 1, features)}
${chunk.functions}
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
    rows: [{ weights: w, operands: weights, row, expert: choose(k, "expert", "part"), slots: ["0u"] }],
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

function sameChunk(
  weights: readonly (readonly Operand[])[],
  formats: readonly WeightFormat[],
  K: number,
  { features }: KernelContext,
): ChunkFormat | null {
  const chunks = weights.map(([weight], i) => chunkFormat(formats[i], weight, K, features))
  return chunks.every((chunk) => chunk && chunk.name === chunks[0]?.name) ? chunks[0] : null
}

/** The bias of an expert's row, if there is one. */
function biases(
  name: string,
  bias: Accessor | undefined,
  operands: readonly Operand[],
  { row, expert }: { row: string; expert: string },
): { name: string; value: string }[] {
  const { strides } = operands[operands.length - 1]
  return bias ? [{ name, value: bias.load(`(${expert}) * ${strides[0]}u + (${row}) * ${strides[1]}u`) }] : []
}
