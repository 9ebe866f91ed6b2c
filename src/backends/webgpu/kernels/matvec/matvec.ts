import { itemSize } from "../../../../tensor/dtype.js"
import type { WeightFormat } from "../../../ops.js"
import type { Operand } from "../../../program.js"
import { type Accessor, type Dispatch, dispatch, type KernelContext, reads, type View, writes } from "../../dispatch.js"
import type { GpuFeatures } from "../../features.js"
import { type ChunkFormat, range, UNIT, type WeightAccessors, weightAccessors, weightViews } from "./chunk.js"

/** Lanes that share a weight row. */
export const LANES = 32

/** Shape of the work: tuned on an NVIDIA H100. */
export interface Tuning {
  /** Weight rows per group of lanes. */
  readonly rows: number
  /** Groups of lanes per workgroup. */
  readonly groups: number
  /** Activation rows that a workgroup keeps at once. */
  readonly tile: number
}

/** What one kernel multiplies. Segments are weights whose products lie side by side, such as q, k and v. */
export interface MatvecPlan {
  readonly label: string
  readonly x: Operand
  readonly norm: { readonly weight: Operand; readonly eps: number } | null
  readonly chunk: ChunkFormat
  readonly segments: readonly {
    readonly format: WeightFormat
    readonly operands: readonly Operand[]
    /** Where its products start in an output row. */
    readonly column: number
  }[]
  readonly residual: Operand | null
  readonly output: Operand
  readonly tuning: Tuning
}

/**
 * `[L, K] x [N, K]^T` for few rows L: activations (normalised first, if asked) are staged in workgroup memory once, then
 * each group of lanes streams weight rows past them. Nothing is shared between workgroups.
 */
export function matvec(plan: MatvecPlan, context: KernelContext): Dispatch {
  const { x, norm, chunk, segments, residual, output, tuning } = plan
  const { features } = context
  const [L, K] = x.shape
  const { tile } = tuning
  const blockRows = tuning.rows * tuning.groups
  const threads = tuning.groups * LANES
  const counts = segments.map(({ operands }) => operands[0].shape[0])
  const blocks = counts.map((n) => Math.ceil(n / blockRows))
  const firstBlocks = blocks.map((_, i) => blocks.slice(0, i).reduce((a, b) => a + b, 0))
  const views: Record<string, View> = { x: reads(x, "vec4<f32>"), out: writes(output, "f32") }
  if (norm) views.norm = reads(norm.weight, "u32")
  if (residual) views.residual = reads(residual, "f32")
  for (const [s, { format, operands }] of segments.entries())
    Object.assign(views, weightViews(format, operands, `${s}`))
  const bytes = segments.reduce((sum, { operands }) => sum + operands.reduce((b, o) => b + operandBytes(o), 0), 0)
  return dispatch({
    label: plan.label,
    views,
    params: { L },
    enable: enables(features),
    workgroups: [blocks.reduce((a, b) => a + b, 0), Math.ceil(L / tile), 1],
    bytes,
    code: (v) => {
      const body = segments.map(({ operands, format, column }, s) =>
        segmentBody({
          chunk,
          weights: weightAccessors(v, `${s}`),
          operands,
          format,
          count: counts[s],
          firstBlock: firstBlocks[s],
          column,
          K,
          tile,
          tuning,
          features,
          out: v.out,
          residual: v.residual,
          residualStride: residual?.strides[0] ?? 0,
          outStride: output.strides[0],
        }),
      )
      const choose = segments
        .map((_, s) =>
          s === segments.length - 1 ? `{${body[s]}}` : `if (wid.x < ${firstBlocks[s + 1]}u) {${body[s]}}`,
        )
        .join(" else ")
      return `
var<workgroup> xs: array<${chunk.staged}, ${tile * rowVectors(chunk, K)}>;
${reductionMemory(threads, tuning.rows * tile, features)}
${norm ? `var<workgroup> squares: array<f32, ${threads}>;` : ""}
${chunk.functions}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % ${LANES}u;
  let group = lid / ${LANES}u;
  let first_row = wid.y * ${tile}u;
  for (var l = 0u; l < ${tile}u; l++) {
    let row = min(first_row + l, params.L - 1u);
    ${stageRow({ chunk, K, threads, row: "row", slot: "l", x: v.x, xStride: x.strides[0], norm: v.norm && norm ? { weight: v.norm, eps: norm.eps } : null })}
  }
  workgroupBarrier();
  ${choose}
}`
    },
  })
}

export function enables(features: GpuFeatures): ("f16" | "subgroups")[] {
  return [...(features.f16 ? (["f16"] as const) : []), ...(features.subgroups ? (["subgroups"] as const) : [])]
}

/** Workgroup vectors of one staged row. */
export function rowVectors(chunk: ChunkFormat, K: number): number {
  return (K / chunk.elements) * chunk.stride
}

/** Bytes of an operand's elements. */
export function operandBytes({ shape, dtype }: Operand): number {
  return shape.reduce((a, b) => a * b, 1) * itemSize(dtype)
}

interface StageRow {
  readonly chunk: ChunkFormat
  readonly K: number
  readonly threads: number
  /** WGSL of the row of x, and of the slot in `xs` that it goes to. */
  readonly row: string
  readonly slot: string
  readonly x: Accessor
  readonly xStride: number
  readonly norm: { readonly weight: Accessor; readonly eps: number } | null
  /** WGSL of a factor on every element. */
  readonly factor?: string
}

/** WGSL that loads a row of K activations, normalises it, and stores it into `xs`; all threads take part. */
export function stageRow({ chunk, K, threads, row, slot, x, xStride, norm, factor }: StageRow): string {
  const units = K / UNIT
  const turns = Math.ceil(units / threads)
  const load = range(turns).map((t) => {
    const u = `(lid + ${t * threads}u)`
    const guard = (t + 1) * threads <= units ? "" : `if (${u} < ${units}u)`
    const vectors = range(4).map(
      (i) => `a${t}_${i} = ${x.at(`((${row}) * ${xStride}u + ${u} * ${UNIT}u) / 4u + ${i}u`)};`,
    )
    return `${range(4)
      .map((i) => `var a${t}_${i} = vec4f();`)
      .join(" ")} ${guard} {${vectors.join(" ")}}`
  })
  const squares = range(turns).flatMap((t) => range(4).map((i) => `dot(a${t}_${i}, a${t}_${i})`))
  const reduce = `
squares[lid] = ${squares.join(" + ")};
workgroupBarrier();
for (var half = ${2 ** Math.ceil(Math.log2(threads) - 1)}u; half > 0u; half >>= 1u) {
  if (lid < half && lid + half < ${threads}u) { squares[lid] += squares[lid + half]; }
  workgroupBarrier();
}
let inverse = inverseSqrt(squares[0] / ${K}.0 + ${norm ? wgslFloat(norm.eps) : ""});
workgroupBarrier();`
  const store = range(turns).map((t) => {
    const u = `(lid + ${t * threads}u)`
    const guard = (t + 1) * threads <= units ? "" : `if (${u} < ${units}u)`
    const values = range(4).map((i) => {
      const weights =
        norm &&
        range(4)
          .map((j) => norm.weight.load(`${u} * ${UNIT}u + ${4 * i + j}u`))
          .join(", ")
      const scaled = norm ? `a${t}_${i} * inverse * vec4f(${weights})` : `a${t}_${i}`
      return `let v${i} = ${factor ? `${scaled} * (${factor})` : scaled};`
    })
    return `${guard} {${values.join("\n")}\n${chunk.stage(u)}}`
  })
  return `
let base = (${slot}) * ${rowVectors(chunk, K)}u;
${load.join("\n")}
${norm ? reduce : ""}
${store.join("\n")}`
}

/** A WGSL literal of a number. */
export function wgslFloat(value: number): string {
  const text = String(value)
  return /[.e]/.test(text) ? `${text}f` : `${text}.0f`
}

interface Segment {
  readonly chunk: ChunkFormat
  readonly weights: WeightAccessors
  readonly operands: readonly Operand[]
  readonly format: WeightFormat
  readonly count: number
  readonly firstBlock: number
  readonly column: number
  readonly K: number
  readonly tile: number
  readonly tuning: Tuning
  readonly features: GpuFeatures
  readonly out: Accessor
  readonly residual: Accessor | undefined
  readonly residualStride: number
  readonly outStride: number
}

function segmentBody(s: Segment): string {
  const { chunk, K, tile, tuning, features } = s
  const accumulators = range(tuning.rows).flatMap((r) => range(tile).map((l) => `acc${r}_${l}`))
  const n = (r: number) => `min(row0 + ${r}u, ${s.count - 1}u)`
  return `
  let row0 = ((wid.x - ${s.firstBlock}u) * ${tuning.groups}u + group) * ${tuning.rows}u;
  ${accumulators.map((a) => `var ${a} = 0.0;`).join(" ")}
  ${streamRows(
    chunk,
    K,
    range(tuning.rows).map((r) => ({ weights: s.weights, operands: s.operands, row: n(r) })),
    range(tile).map((l) => `${l}u`),
  )}
  ${reduceLanes(accumulators, features)}
  for (var i = lane; i < ${accumulators.length}u; i += ${LANES}u) {
    let n = row0 + i / ${tile}u;
    let l = first_row + i % ${tile}u;
    if (n < ${s.count}u && l < params.L) {
      var y = total(group, i);
      ${s.weights.bias ? `y += ${s.weights.bias.load(`n * ${biasStride(s)}u`)};` : ""}
      let at = l * ${s.outStride}u + ${s.column}u + n;
      ${s.residual ? `y += ${s.residual.at(`l * ${s.residualStride}u + ${s.column}u + n`)};` : ""}
      ${s.out.at("at")} = y;
    }
  }`
}

function biasStride({ operands }: Segment): number {
  return operands[operands.length - 1].strides[0]
}

/** One weight row that a group of lanes streams. */
export interface StreamedRow {
  readonly weights: WeightAccessors
  readonly operands: readonly Operand[]
  /** WGSL of the row in the innermost matrix. */
  readonly row: string
  /** WGSL of the expert, for stacked matrices. */
  readonly expert?: string
}

/**
 * WGSL of the inner loop: `acc{r}_{i}` gathers this lane's share of weight row r times the staged row `slots[i]`.
 * All rows' loads are issued before the arithmetic.
 */
export function streamRows(
  chunk: ChunkFormat,
  K: number,
  rows: readonly StreamedRow[],
  slots: readonly string[],
): string {
  const firstElement = ({ row, expert }: StreamedRow, operand: Operand | undefined, elementsPerUnit: number) => {
    if (!operand) return "0u"
    const stride = (axis: number) => `${operand.strides[axis] / elementsPerUnit}u`
    const rowAxis = operand.shape.length - 2
    return `(${row}) * ${stride(rowAxis)}${expert ? ` + (${expert}) * ${stride(0)}` : ""}`
  }
  const perRow = (text: (row: StreamedRow, r: number) => string) => rows.map(text).join("\n    ")
  return `
  ${perRow((row, r) => {
    const [weight, scales, biases] = row.operands
    return `let w${r}_row = ${firstElement(row, weight, 16 / itemSize(weight.dtype))};
    let s${r}_row = ${firstElement(row, row.weights.scales && scales, 1)};
    let b${r}_row = ${firstElement(row, row.weights.biases && biases, 1)};`
  })}
  for (var c = lane; c < ${K / chunk.elements}u; c += ${LANES}u) {
    ${perRow(({ weights }, r) => `let w${r} = ${weights.weight.at(`w${r}_row + c`)};`)}
    ${perRow(({ weights }, r) => `let s${r} = ${chunk.scales(weights, `s${r}_row`, `b${r}_row`, "c")};`)}
    ${slots.map((slot, i) => chunk.load(`x${i}_`, `(${slot}) * ${rowVectors(chunk, K)}u + c * ${chunk.stride}u`)).join("\n    ")}
    ${perRow((_, r) => {
      const dots = slots.map((_, i) => `acc${r}_${i} += ${chunk.dot(`q${r}_`, `x${i}_`, `s${r}`)};`)
      return `{ ${chunk.decode(`q${r}_`, `w${r}`)}\n${dots.join("\n")} }`
    })}
  }`
}

/** Lanes that a shuffle can reach on every device like this one. */
function shuffled({ subgroups }: GpuFeatures): number {
  return Math.min(subgroups?.min ?? 1, LANES)
}

/** WGSL declarations for {@link reduceLanes}: the partial sums, and `total(group, i)`, a group's sum of accumulator i. */
export function reductionMemory(threads: number, accumulators: number, features: GpuFeatures): string {
  const width = shuffled(features)
  return `
var<workgroup> partial: array<f32, ${(threads / width) * accumulators}>;
fn total(group: u32, i: u32) -> f32 {
  var sum = 0.0;
  for (var p = 0u; p < ${LANES / width}u; p++) { sum += partial[(group * ${LANES / width}u + p) * ${accumulators}u + i]; }
  return sum;
}`
}

/** WGSL that sums accumulators over each group's lanes, so that `total` can be called. */
export function reduceLanes(accumulators: readonly string[], features: GpuFeatures): string {
  const width = shuffled(features)
  const masks = range(Math.log2(width)).map((bit) => 2 ** bit)
  return `
  ${masks.map((mask) => accumulators.map((a) => `${a} += subgroupShuffleXor(${a}, ${mask}u);`).join(" ")).join("\n  ")}
  if (lid % ${width}u == 0u) {
    ${accumulators.map((a, i) => `partial[(lid / ${width}u) * ${accumulators.length}u + ${i}u] = ${a};`).join("\n    ")}
  }
  workgroupBarrier();`
}
