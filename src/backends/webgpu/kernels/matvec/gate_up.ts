import type { GatedActivation } from "../../../../ir/activation.js"
import { componentsOf } from "../../../../ir/operands.js"
import type { WeightOf } from "../../../../ir/type.js"
import type { Operand } from "../../../../ir/program.js"
import { ofRows } from "../../bindable.js"
import { type Dispatch, dispatch, type KernelContext, operandBytes, reads, type View, writes } from "../../dispatch.js"
import { shuffles } from "../../features.js"
import { glu } from "../../wgsl/glu.js"
import { UNIT } from "../../wgsl/formats/chunk.js"
import { weightAccessors, weightViews } from "./chunk.js"
import { biases, sameChunk } from "./experts.js"
import {
  choiceRounds,
  choiceViews,
  chooseExperts,
  type RouteShares,
  choiceBytes,
  choiceMemory,
} from "./route_shares.js"
import { isStageable, LANES, type Norm, normMemory, normView, stageMemory, stageRows } from "./stage.js"
import { reduceLanes, reductionMemory, streamTasks } from "./stream.js"
import { tune, workgroupBytes } from "./tuning.js"

interface GateUp {
  readonly x: Operand
  readonly norm: Norm | null
  /** The experts `[L, k]`, or, for one row, what to choose them by. */
  readonly ids: Operand | RouteShares
  readonly gate: WeightOf<Operand>
  readonly up: WeightOf<Operand>
  readonly activation: GatedActivation
  readonly output: Operand
}

/**
 * `gather_glu` and `norm_gather_glu` for few rows: x `[L, K]` through the gate and up rows of each chosen expert,
 * then the activation. A task is one such pair of rows. Null as in `fewRows`.
 */
export function gateUpFewRows(of: GateUp, context: KernelContext): Dispatch[] | null {
  const { x, norm, gate, up, output } = of
  const [ids, router] = isShares(of.ids) ? [null, of.ids] : [of.ids, null]
  const { features } = context
  const [L, K] = x.shape
  const [, k, N] = output.shape
  const parts = [...componentsOf(gate), ...componentsOf(up)]
  const chunk = sameChunk([gate, up], K, context)
  if (!chunk || !isStageable(x, norm) || context.ranges(parts).length > 1) return null
  const tuning = tune(k * N, 1, features, K / UNIT)
  const workgroups = Math.ceil((k * N) / (tuning.groups * tuning.tasks))
  const threads = tuning.groups * LANES
  const rounds = router ? choiceRounds(router, tuning.groups) : 0
  if (rounds === null) return null
  const totals = Math.max(2, rounds)
  const memory = workgroupBytes({ chunk, K, slots: 1, totals, groups: tuning.groups, features })
  if (memory + (router ? choiceBytes(router) : 0) > features.maxWorkgroupStorage) return null
  const views: Record<string, View> = {
    x: reads(x, "vec4<f32>"),
    ...(ids ? { ids: reads(ids, "u32") } : {}),
    ...(router ? choiceViews(router) : {}),
    ...weightViews(gate, "0"),
    ...weightViews(up, "1"),
    out: writes(output, "f32"),
  }
  if (norm) views.norm = normView(norm)
  return [
    dispatch({
      label: `${router ? `top ${k}, ` : ""}experts gate+up ${chunk.name} ${N}x${K}${norm ? ", norm" : ""}`,
      views,
      uses: [...chunk.uses, glu(of.activation), ...(router ? [choiceMemory(router)] : [])],
      enable: shuffles(features),
      workgroups: ofRows(x, (L) => [workgroups, L, 1]),
      bytes: (L * k * parts.reduce((sum, o) => sum + operandBytes(o), 0)) / gate.weight.shape[0],
      code: (v) => {
        const [g, u] = [weightAccessors(v, "0"), weightAccessors(v, "1")]
        const inverse = norm ? " * inverse0" : ""
        // Tasks past the end repeat the last one.
        const last = `min(task, ${k * N - 1}u)`
        const at = {
          row: `${last} % ${N}u`,
          expert: ids ? v.ids.at(`wid.y * ${k}u + ${last} / ${N}u`) : `ids[${last} / ${N}u]`,
          slots: ["0u"],
        }
        const choice =
          router && chooseExperts(router, v, tuning.groups, rounds, (names) => reduceLanes(names, features))
        const stage = stageRows({
          chunk,
          K,
          threads,
          slots: 1,
          row: () => "wid.y",
          xStride: x.strides[0],
          norm,
          views: v,
          features,
          meanwhile: choice?.add,
        })
        const chosen = choice && [choice.load, stage, choice.choose, `if (wid.x == 0u) {${choice.store}}`].join("\n")
        return `
${stageMemory(chunk, K, 1)}
${reductionMemory(threads, totals, features)}
${norm ? normMemory(threads, 1, features) : ""}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % ${LANES}u;
  let group = lid / ${LANES}u;
  ${chosen ?? ""}
  ${streamTasks({
    chunk,
    K,
    rows: [
      { weights: g, operands: gate, ...at },
      { weights: u, operands: up, ...at },
    ],
    tasks: tuning.tasks,
    first: `(wid.x * ${tuning.groups}u + group) * ${tuning.tasks}u`,
    prologue: chosen ? "" : stage,
    features,
    extras: [...biases("gate_bias", g.bias, gate, at), ...biases("up_bias", u.bias, up, at)],
    epilogue: ([gateTotal, upTotal]) => `
if (lane == 0u && task < ${k * N}u) {
  let gate = ${gateTotal}${inverse}${gate.bias ? " + gate_bias" : ""};
  let up = ${upTotal}${inverse}${up.bias ? " + up_bias" : ""};
  ${v.out.at(`wid.y * ${k * N}u + task`)} = glu(gate, up);
}`,
  })}
}`
      },
    }),
  ]
}

function isShares(ids: Operand | RouteShares): ids is RouteShares {
  return "shares" in ids
}
