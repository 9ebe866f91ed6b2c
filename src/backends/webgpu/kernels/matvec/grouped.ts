import type { GatedActivation } from "../../../../ir/activation.js"
import { itemSize } from "../../../../tensor/dtype.js"
import { componentsOf } from "../../../../ir/operands.js"
import type { WeightOf } from "../../../../ir/type.js"
import type { Operand } from "../../../../ir/program.js"
import { derive, most, ofElements } from "../../bindable.js"
import { type Dispatch, dispatch, type KernelContext, operandBytes, reads, type View, writes } from "../../dispatch.js"
import { enables } from "../../features.js"
import { gluFunction } from "../../wgsl/glu.js"
import { range } from "../../wgsl/range.js"
import { groupRows } from "../gemm/groups.js"
import { NONE } from "../gemm/product.js"
import { weightAccessors, weightViews } from "./chunk.js"
import { sameChunk } from "./experts.js"
import {
  isStageable,
  LANES,
  type Norm,
  normBytes,
  normMemory,
  normView,
  rowVectors,
  stageMemory,
  stageRows,
} from "./stage.js"

/** Lanes that share a weight row: few, so that a subgroup's rows are many and take the same activations at the same time. */
const SHARE = 4

/** Most threads of a workgroup, which stages its slots once; and weight rows that each share of lanes takes one after the other. */
const MOST_THREADS = 512
const TASKS = 2

/** Turns that loads run ahead of their use. */
const AHEAD = 2

/** Most slots of a tile. */
const MOST_SLOTS = 6

/** Slots that are multiplied or not together. */
const PAIR = 2

interface Grouped {
  readonly x: Operand
  readonly norm: Norm | null
  readonly ids: Operand
  readonly weights: readonly [WeightOf<Operand>] | readonly [WeightOf<Operand>, WeightOf<Operand>]
  readonly activation?: GatedActivation
  /** f32 `[slots, N]` */
  readonly output: Operand
}

/**
 * The slots (row, choice) of x `[L, K]` or `[L, k, K]` times their experts' weights, where an expert has a few of them: with two
 * weights `glu(x . gate + bias, x . up + bias)`. Slots are grouped by expert into tiles, and each weight that is read meets all
 * slots of a tile. Null as in `fewRows`.
 */
export function groupedFewRows(of: Grouped, context: KernelContext): Dispatch[] | null {
  const { x, norm, ids, weights, activation, output } = of
  const { features } = context
  const threads = Math.min(MOST_THREADS, features.maxInvocations)
  const K = x.shape[x.shape.length - 1]
  const [experts, N] = weights[0].weight.shape
  const parts = weights.flatMap(componentsOf)
  const chunk = sameChunk(weights, K, context)
  const shares = features.subgroups?.min ?? 1
  if (
    !chunk ||
    shares < SHARE ||
    features.maxInvocations < threads ||
    !isStageable(x, norm) ||
    context.ranges(parts).length > 1
  )
    return null
  const rowBytes = rowVectors(chunk, K) * 16 + normBytes(threads, norm ? 1 : 0, features)
  const room = Math.floor((features.maxWorkgroupStorage - 64) / rowBytes)
  const perExpert = (ids.shape[0] * ids.shape[1]) / experts
  const slots = Math.min(perExpert <= 2 ? 4 : MOST_SLOTS, Math.floor(room / PAIR) * PAIR)
  if (slots < PAIR) return null
  const slotsPerRow = x.shape.length === 2 ? ids.shape[1] : 1
  const { groups, dispatch: sort } = groupRows(ids, experts, slots, slotsPerRow, context)
  const rows = (threads / SHARE) * TASKS
  const names = weights.map((_, r) => `${r}`)
  const views: Record<string, View> = {
    x: reads(x, "vec4<f32>"),
    groups: reads(groups.operand, "u32"),
    ...Object.assign({}, ...weights.map((weight, r) => weightViews(weight, names[r]))),
    ...(norm ? { norm: normView(norm) } : {}),
    out: writes(output, "f32"),
  }
  const product = dispatch({
    label: `experts ${activation ? "gate+up" : "down"} ${chunk.name} ${N}x${K}, ${slots} slots${norm ? ", norm" : ""}`,
    views,
    params: { slots: ofElements(ids, (slots) => slots), tiles: groups.tiles },
    enable: enables(features),
    workgroups: derive(groups.tiles, (tiles) => [tiles, Math.ceil(N / rows), 1]),
    bytes: Math.floor(
      (parts.reduce((sum, operand) => sum + operandBytes(operand), 0) * Math.min(experts, most(groups.tiles))) /
        experts,
    ),
    code: (v) => {
      const accessors = names.map((name) => weightAccessors(v, name))
      const slot = (t: string) => v.groups.at(`params.tiles + wid.x * ${slots}u + ${t}`)
      const turns = Math.ceil(K / chunk.elements / SHARE)
      const last = K / chunk.elements - 1
      const sums = range(slots).flatMap((t) => names.map((r) => `sum${r}_${t}`))
      const place = (operand: Operand | undefined, unit: number) => {
        if (!operand) return "0u"
        const [perRow, perExpert] = [...operand.strides.slice(0, -1)].reverse()
        return `expert * ${perExpert / unit}u + min(load_row, ${N - 1}u) * ${perRow / unit}u`
      }
      const find = names
        .map((r, i) => {
          const { weight, scales, biases } = weights[i]
          const vector = 16 / itemSize(weight.dtype)
          return `w_row${r} = ${place(weight, vector)}; s_row${r} = ${place(scales, 1)}; b_row${r} = ${place(biases, 1)};`
        })
        .join("\n")
      const held = (d: number) =>
        names.map((r) => `var w${d}_${r}: vec4u; var s${d}_${r}: ${chunk.scaleType};`).join(" ")
      const load = (d: number) => `{
    let c = min(load_turn * ${SHARE}u + part, ${last}u);
    ${names.map((r, i) => `w${d}_${r} = ${accessors[i].weight.at(`w_row${r} + c`)}; s${d}_${r} = ${chunk.scales(accessors[i], `s_row${r}`, `b_row${r}`, "c")};`).join("\n")}
    load_turn++;
    if (load_turn == turns) { load_turn = 0u; load_row += ${threads / SHARE}u; ${find} }
  }`
      const multiply = (t: number) => `{
      ${chunk.load("x", `${t * rowVectors(chunk, K)}u + at`)}
      ${names.map((r) => `sum${r}_${t} += ${chunk.dot(`q${r}`, "x", `s${r}`)};`).join("\n")}
    }`
      const total = (r: number, t: number) => {
        const { bias } = weights[r]
        const [perRow, perExpert] = bias ? [...bias.strides].reverse() : []
        const added = bias && accessors[r].bias!.load(`expert * ${perExpert}u + row * ${perRow}u`)
        return `sum${r}_${t}${norm ? ` * inverse${t}` : ""}${added ? ` + ${added}` : ""}`
      }
      const store = (t: number) => {
        const totals = names.map((_, r) => total(r, t))
        const value = activation ? `glu(${totals.join(", ")})` : totals[0]
        return `if (part == ${t % SHARE}u && count > ${t}u) { ${v.out.at(`${slot(`${t}u`)} * ${N}u + row`)} = ${value}; }`
      }
      return `
${stageMemory(chunk, K, slots)}
${norm ? normMemory(threads, slots, features) : ""}
var<workgroup> chosen: vec4u;
${chunk.functions}
${activation ? gluFunction(activation) : ""}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % ${LANES}u;
  let group = lid / ${LANES}u;
  let part = lid % ${SHARE}u;
  if (lid == 0u) {
    var count = 0u;
    for (var t = 0u; t < ${slots}u; t++) { count += u32(${slot("t")} != ${NONE}); }
    chosen = vec4u(${v.groups.at("wid.x")}, count, 0u, 0u);
  }
  let tile = workgroupUniformLoad(&chosen);
  let expert = tile.x;
  let count = tile.y;
  if (expert >= ${experts}u) { return; }
  // Plus a zero that compilers do not know: they would unroll the loop.
  let turns = ${turns}u + wid.z;
  var row = wid.y * ${rows}u + lid / ${SHARE}u;
  var load_row = row;
  var load_turn = 0u;
  ${names.map((r) => `var w_row${r}: u32; var s_row${r}: u32; var b_row${r}: u32;`).join(" ")}
  ${find}
  ${range(AHEAD)
    .map((d) => `${held(d)} ${load(d)}`)
    .join("\n")}
  ${stageRows({
    chunk,
    K,
    threads,
    slots,
    row: (t) => `min(${slot(t)}, params.slots - 1u) / ${slotsPerRow}u`,
    xStride: K,
    norm,
    views: v,
    features,
  })}
  ${sums.map((sum) => `var ${sum} = 0.0;`).join(" ")}
  var turn = 0u;
  for (var i = turns * ${TASKS}u; i > 0u; i--) {
    ${names.map((r) => `let w${r} = w0_${r}; let s${r} = s0_${r};`).join(" ")}
    ${range(AHEAD - 1)
      .map((d) => names.map((r) => `w${d}_${r} = w${d + 1}_${r}; s${d}_${r} = s${d + 1}_${r};`).join(" "))
      .join("\n")}
    if (i > ${AHEAD}u) ${load(AHEAD - 1)}
    let at = (turn * ${SHARE}u + part) * ${chunk.stride}u;
    ${names.map((r) => chunk.decode(`q${r}`, `w${r}`)).join("\n")}
    ${range(slots / PAIR)
      .map((pair) => {
        const both = range(PAIR).map((t) => multiply(pair * PAIR + t))
        return pair === 0 ? both.join("\n") : `if (count > ${pair * PAIR}u) { ${both.join("\n")} }`
      })
      .join("\n")}
    turn++;
    if (turn == turns) {
      turn = 0u;
      ${range(Math.log2(SHARE))
        .flatMap((bit) => sums.map((sum) => `${sum} += subgroupShuffleXor(${sum}, ${2 ** bit}u);`))
        .join("\n")}
      if (row < ${N}u) {
        ${range(slots).map(store).join("\n")}
      }
      ${sums.map((sum) => `${sum} = 0.0;`).join(" ")}
      row += ${threads / SHARE}u;
    }
  }
}`
    },
  })
  return [sort, product]
}
