import type { WeightFormat } from "../../../ops.js"
import type { Operand } from "../../../program.js"
import { type Dispatch, dispatch, type KernelContext, reads, type View, writes } from "../../dispatch.js"
import { splitWeights } from "../composed.js"
import { UNIT, weightAccessors, weightViews } from "./chunk.js"
import { biases, sameChunk } from "./experts.js"
import { enables, type Norm, operandBytes } from "./matvec.js"
import { type Route, routeBytes, routeMemory, routeRow, stagedForRoute, storeRoute } from "./route.js"
import { isStageable, LANES, normMemory, normView, rowVectors, stageMemory, stageRows, wgslFloat } from "./stage.js"
import { isWide, reductionMemory, streamTasks } from "./stream.js"
import { tune, workgroupBytes } from "./tuning.js"

interface GateUp {
  readonly x: Operand
  readonly norm: Norm | null
  /** The experts `[L, k]`, or how to choose them: for one row, where that is cheaper than a launch of its own. */
  readonly ids: Operand | Route
  readonly formats: readonly [WeightFormat, WeightFormat]
  readonly weights: readonly Operand[]
  readonly alpha: number
  readonly limit: number
  readonly output: Operand
}

/**
 * `gather_swiglu` and `norm_gather_swiglu` for few rows: x `[L, K]` through the gate and up rows of each chosen expert,
 * then gpt-oss's clamped SwiGLU. A task is one such pair of rows. Null as in `fewRows`.
 */
export function gateUpFewRows(of: GateUp, context: KernelContext): Dispatch[] | null {
  const { x, norm, formats, output } = of
  const [ids, route] = isRoute(of.ids) ? [null, of.ids] : [of.ids, null]
  const { features } = context
  const [L, K] = x.shape
  const [, k, N] = output.shape
  const [gate, up] = splitWeights(formats, of.weights)
  const chunk = sameChunk([gate, up], formats, K, context)
  if (!chunk || !isStageable(x, norm) || context.ranges([...gate, ...up]).length > 1) return null
  const staged = { chunk, xs: "xs" }
  const forRoute = route && stagedForRoute(route, context)
  if (route && !forRoute) return null
  const tuning = tune(k * N, 1, features, K / UNIT)
  const workgroups = Math.ceil((k * N) / (tuning.groups * tuning.tasks))
  // Each of them routes: that may be half as much work as the experts are.
  if (route && route.weights[0].shape[0] * workgroups > k * N) return null
  const threads = tuning.groups * LANES
  const memory =
    workgroupBytes({ chunk, K, slots: 1, totals: 2, groups: tuning.groups, features }) +
    (route && forRoute ? rowVectors(forRoute.chunk, K) * 16 + routeBytes(route) : 0)
  if (memory > features.maxWorkgroupStorage) return null
  const views: Record<string, View> = {
    x: reads(x, "vec4<f32>"),
    ...(ids ? { ids: reads(ids, "u32") } : {}),
    ...(route ? { ...weightViews(route.format, route.weights, "_route"), routed: writes(route.output, "u32") } : {}),
    ...weightViews(formats[0], gate, "0"),
    ...weightViews(formats[1], up, "1"),
    out: writes(output, "f32"),
  }
  if (norm) views.norm = normView(norm)
  return [
    dispatch({
      label: `${route ? `route top ${k}, ` : ""}experts gate+up ${chunk.name} ${N}x${K}${norm ? ", norm" : ""}`,
      views,
      enable: enables(features),
      workgroups: [workgroups, L, 1],
      bytes: (L * k * [...gate, ...up].reduce((sum, o) => sum + operandBytes(o), 0)) / gate[0].shape[0],
      code: (v) => {
        const [g, u] = [weightAccessors(v, "0"), weightAccessors(v, "1")]
        const inverse = norm ? ` * ${route ? "inverse" : "inverse0"}` : ""
        // Tasks past the end repeat the last one.
        const last = `min(task, ${k * N - 1}u)`
        const at = {
          row: `${last} % ${N}u`,
          expert: ids ? v.ids.at(`wid.y * ${k}u + ${last} / ${N}u`) : `ids[${last} / ${N}u]`,
          slots: ["0u"],
        }
        const prologue = stageRows({
          into: forRoute ? [staged, forRoute] : [staged],
          K,
          threads,
          slots: 1,
          row: () => "wid.y",
          x: v.x,
          xStride: x.strides[0],
          norm: norm && { weight: v.norm, dtype: norm.weight.dtype, eps: norm.eps, wide: isWide(features) },
        })
        const weights = weightAccessors(v, "_route")
        const groups = tuning.groups
        const chosen =
          route && forRoute
            ? `var inverse = 0.0;
  ${routeRow({ route, staged: forRoute, weights, groups, prologue: `${prologue}\ninverse = inverse0;`, features })}
  if (wid.x == 0u) {${storeRoute(route, v.routed, "0u", "1u")}}`
            : ""
        return `
${stageMemory(staged, K, 1)}
${route && forRoute ? `${stageMemory(forRoute, K, 1)}${routeMemory(route)}` : ""}
${reductionMemory(threads, 2, features)}
${norm ? normMemory(threads, 1, isWide(features)) : ""}
${chunk.functions}
${forRoute && forRoute.chunk.name !== chunk.name ? forRoute.chunk.functions : ""}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % ${LANES}u;
  let group = lid / ${LANES}u;
  ${chosen}
  ${streamTasks({
    staged,
    K,
    rows: [
      { weights: g, operands: gate, ...at },
      { weights: u, operands: up, ...at },
    ],
    tasks: tuning.tasks,
    first: `(wid.x * ${tuning.groups}u + group) * ${tuning.tasks}u`,
    prologue: route ? "" : prologue,
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

function isRoute(ids: Operand | Route): ids is Route {
  return "format" in ids
}
