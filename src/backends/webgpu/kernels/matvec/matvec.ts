import { componentsOf } from "../../../../ir/operands.js"
import type { WeightOf } from "../../../../ir/type.js"
import type { Operand } from "../../../../ir/program.js"
import { ofRows } from "../../bindable.js"
import {
  type Accessor,
  type Dispatch,
  dispatch,
  type KernelContext,
  operandBytes,
  reads,
  type View,
  writes,
} from "../../dispatch.js"
import { shuffles, type GpuFeatures } from "../../features.js"
import { range } from "../../wgsl/range.js"
import type { ChunkFormat } from "../../wgsl/formats/chunk.js"
import { type WeightAccessors, weightAccessors, weightViews } from "./chunk.js"
import { columnExtras, contribute, contributionMemory, contributionViews, type RouteShares } from "./route_shares.js"
import { LANES, type Norm, normMemory, normView, stageMemory, stageRows } from "./stage.js"
import { reductionMemory, streamTasks } from "./stream.js"
import type { Tuning } from "./tuning.js"

/** A weight, or part of one, and where its products start in an output row. */
export interface Segment {
  readonly weight: WeightOf<Operand>
  readonly column: number
}

/** What one kernel multiplies. Segments are weights whose products lie side by side, such as q, k and v. */
export interface MatvecPlan {
  readonly label: string
  readonly x: Operand
  readonly norm: Norm | null
  readonly chunk: ChunkFormat
  readonly segments: readonly Segment[]
  readonly residual: Operand | null
  /** For one row, with a weight row for each group: the output is what this router reads. */
  readonly router: RouteShares | null
  readonly output: Operand
  readonly tuning: Tuning
  /** Activation rows that a workgroup keeps at once. */
  readonly tile: number
}

/**
 * `[L, K] x [N, K]^T` for few rows L: activations (normalised first, if asked) are staged in workgroup memory once, then
 * each group of lanes streams weight rows past them. Nothing is shared between workgroups.
 */
export function matvec(plan: MatvecPlan, { features }: KernelContext): Dispatch {
  const { x, norm, chunk, segments, residual, router, output, tuning, tile } = plan
  const [, K] = x.shape
  const threads = tuning.groups * LANES
  const blockRows = tuning.rows * tuning.tasks * tuning.groups
  const blocks = segments.map(({ weight }) => Math.ceil(weight.weight.shape[0] / blockRows))
  const firstBlocks = blocks.map((_, s) => blocks.slice(0, s).reduce((a, b) => a + b, 0))
  const views: Record<string, View> = { x: reads(x, "vec4<f32>"), out: writes(output, "f32") }
  if (norm) views.norm = normView(norm)
  if (router) Object.assign(views, contributionViews(router), { shares: writes(router.shares, "f32") })
  if (residual) views.residual = reads(residual, "f32")
  for (const [s, { weight }] of segments.entries()) Object.assign(views, weightViews(weight, `${s}`))
  return dispatch({
    label: router ? `${plan.label}, router` : plan.label,
    views,
    params: { L: ofRows(x, (L) => L) },
    uses: chunk.uses,
    enable: shuffles(features),
    workgroups: ofRows(x, (L) => [blocks.reduce((a, b) => a + b, 0), Math.ceil(L / tile), 1]),
    bytes: [...segments.map(({ weight }) => weight), ...(router ? [router.route.weight] : [])]
      .flatMap(componentsOf)
      .reduce((sum, operand) => sum + operandBytes(operand), 0),
    code: (v) => {
      const prologue = stageRows({
        chunk,
        K,
        threads,
        slots: tile,
        row: (l) => rowOf(l, tile),
        xStride: x.strides[0],
        norm,
        views: v,
        features,
      })
      const body = (s: number) =>
        segmentBody({
          plan,
          segment: segments[s],
          weights: weightAccessors(v, `${s}`),
          firstBlock: firstBlocks[s],
          prologue,
          views: v,
          features,
        })
      return `
${stageMemory(chunk, K, tile)}
${reductionMemory(threads, tuning.rows * tile, features)}
${router ? contributionMemory(router, tuning.groups) : ""}
${norm ? normMemory(threads, tile, features) : ""}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % ${LANES}u;
  let group = lid / ${LANES}u;
  let first_row = wid.y * ${tile}u;
  ${segments.map((_, s) => (s === segments.length - 1 ? `{${body(s)}}` : `if (wid.x < ${firstBlocks[s + 1]}u) {${body(s)}}`)).join(" else ")}
}`
    },
  })
}

interface SegmentBody {
  readonly plan: MatvecPlan
  readonly segment: Segment
  readonly weights: WeightAccessors
  readonly firstBlock: number
  readonly prologue: string
  readonly views: Readonly<Record<string, Accessor>>
  readonly features: GpuFeatures
}

function segmentBody({ plan, segment, weights, firstBlock, prologue, views, features }: SegmentBody): string {
  const { chunk, x, output, router, tuning, tile } = plan
  const { out, residual } = views
  const { weight, column } = segment
  const [N] = weight.weight.shape
  const row = (r: number) => `min(task * ${tuning.rows}u + ${r}u, ${N - 1}u)`
  const slots = range(tile).map((l) => `${l}u`)
  return streamTasks({
    chunk,
    K: x.shape[1],
    rows: range(tuning.rows).map((r) => ({ weights, operands: weight, row: row(r), slots })),
    tasks: tuning.tasks,
    first: `((wid.x - ${firstBlock}u) * ${tuning.groups}u + group) * ${tuning.tasks}u`,
    prologue,
    features,
    extras: range(tuning.rows).flatMap((r) => [
      ...(weights.bias
        ? [{ name: `bias${r}`, value: weights.bias.load(`(${row(r)}) * ${weight.bias!.strides[0]}u`) }]
        : []),
      ...(residual && plan.residual
        ? slots.map((slot, l) => ({
            name: `residual${r}_${l}`,
            value: residual.at(`${rowOf(slot, tile)} * ${plan.residual!.strides[0]}u + ${column}u + ${row(r)}`),
          }))
        : []),
      ...(router ? columnExtras(router, views, row(0)) : []),
    ]),
    epilogue: (totals) =>
      `${totals
        .map((total, i) => {
          const [r, l] = [Math.floor(i / tile), i % tile]
          const product = plan.norm ? `${total} * inverse${l}` : total
          const y = [product, weights.bias && `bias${r}`, residual && `residual${r}_${l}`].filter(Boolean).join(" + ")
          return `let y${i} = ${y};
if (lane == ${i % LANES}u) {
  let n = task * ${tuning.rows}u + ${r}u;
  if (n < ${N}u${tile > 1 ? ` && first_row + ${l}u < params.L` : ""}) {
    ${out.at(`(first_row + ${l}u) * ${output.strides[0]}u + ${column}u + n`)} = y${i};
  }
}`
        })
        .join("\n")}
${router ? contribute(router, views.shares, tuning.groups, { value: "y0", isValid: `task < ${N}u` }) : ""}`,
  })
}

/** WGSL of the row of x in a slot: the last one again past the end. One row needs no look at how many there are. */
function rowOf(slot: string, tile: number): string {
  return tile === 1 ? "first_row" : `min(first_row + ${slot}, params.L - 1u)`
}
