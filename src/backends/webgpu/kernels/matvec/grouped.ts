import type { GatedActivation } from "../../../../ir/activation.js"
import { itemSize } from "../../../../tensor/dtype.js"
import { sizeOf } from "../../../../tensor/shape.js"
import { componentsOf } from "../../../../ir/operands.js"
import type { WeightOf } from "../../../../ir/type.js"
import type { Operand } from "../../../../ir/program.js"
import { derive, most, ofElements } from "../../bindable.js"
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
import { type GpuFeatures, shuffles } from "../../features.js"
import type { ChunkFormat } from "../../wgsl/formats/chunk.js"
import { glu } from "../../wgsl/glu.js"
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

/** Slots of a tile: where there are about two an expert, and where there are more. */
const FEW_SLOTS = 4
const MOST_SLOTS = 6

/** Bytes of workgroup memory for all but slots. */
const OTHER_BYTES = 64

/** Slots that are multiplied or not together. */
const PAIR = 2

type Views = Readonly<Record<string, Accessor>>

/** What is multiplied: float32 `x`, by its norm where there is one. */
export interface Grouped {
  readonly x: Operand
  readonly norm: Norm | null
  readonly ids: Operand
  readonly weights: readonly [WeightOf<Operand>] | readonly [WeightOf<Operand>, WeightOf<Operand>]
  readonly activation?: GatedActivation
  /** f32 `[slots, N]` */
  readonly output: Operand
}

/** What follows from the operands. */
interface Sizes {
  readonly chunk: ChunkFormat
  readonly threads: number
  /** Slots of a tile. */
  readonly slots: number
  readonly slotsPerRow: number
  readonly experts: number
  readonly N: number
  readonly K: number
}

/**
 * The slots (row, choice) of x `[L, K]` or `[L, k, K]` times their experts' weights, where an expert has a few of them: with two
 * weights `glu(x . gate + bias, x . up + bias)`. Slots are grouped by expert into tiles, and each weight that is read meets all
 * slots of a tile. Null as in `fewRows`.
 */
export function groupedFewRows(of: Grouped, context: KernelContext): Dispatch[] | null {
  const { x, norm, ids, weights, activation, output } = of
  const { features } = context
  const K = x.shape[x.shape.length - 1]
  const chunk = sameChunk(weights, K, context)
  const parts = weights.flatMap(componentsOf)
  const isShared = (features.subgroups?.min ?? 1) >= SHARE
  if (x.dtype !== "float32") return null
  if (!chunk || !isShared || !isStageable(x, norm) || context.ranges(parts).length > 1) return null
  const [experts, N] = weights[0].weight.shape
  const threads = Math.min(MOST_THREADS, features.maxInvocations)
  const slotBytes = rowVectors(chunk, K) * 16 + normBytes(threads, norm ? 1 : 0, features)
  const room = Math.floor((features.maxWorkgroupStorage - OTHER_BYTES) / slotBytes)
  const perExpert = sizeOf(ids.shape) / experts
  const slots = Math.min(perExpert <= 2 ? FEW_SLOTS : MOST_SLOTS, Math.floor(room / PAIR) * PAIR)
  if (slots < PAIR) return null
  const slotsPerRow = x.shape.length === 2 ? ids.shape[1] : 1
  const { groups, dispatch: sort } = groupRows(ids, experts, slots, slotsPerRow, context)
  const read =
    (parts.reduce((sum, operand) => sum + operandBytes(operand), 0) * Math.min(experts, most(groups.tiles))) / experts
  const sizes: Sizes = { chunk, threads, slots, slotsPerRow, experts, N, K }
  const product = dispatch({
    label: `experts ${activation ? "gate+up" : "down"} ${chunk.name} ${N}x${K}, ${slots} slots${norm ? ", norm" : ""}`,
    views: <Record<string, View>>{
      x: reads(x, "vec4<f32>"),
      groups: reads(groups.operand, "u32"),
      ...Object.assign({}, ...weights.map((weight, r) => weightViews(weight, `${r}`))),
      ...(norm ? { norm: normView(norm) } : {}),
      out: writes(output, "f32"),
    },
    params: { slots: ofElements(ids, (slots) => slots), tiles: groups.tiles },
    uses: [...chunk.uses, ...(activation ? [glu(activation)] : [])],
    enable: shuffles(features),
    workgroups: derive(groups.tiles, (tiles) => [tiles, Math.ceil(N / rowsOf(sizes)), 1]),
    bytes: Math.floor(read),
    code: (v) => groupedCode(of, sizes, features, v),
  })
  return [sort, product]
}

/** Weight rows of a workgroup: of each weight. */
function rowsOf({ threads }: Sizes): number {
  return (threads / SHARE) * TASKS
}

/** WGSL for the slot in a tile's place, or NONE. */
const slotIn = ({ slots }: Sizes, v: Views, place: string) => v.groups.at(`params.tiles + wid.x * ${slots}u + ${place}`)

function groupedCode(of: Grouped, sizes: Sizes, features: GpuFeatures, v: Views): string {
  const { norm, weights } = of
  const { chunk, threads, slots, slotsPerRow, experts, K } = sizes
  const names = range(weights.length)
  const sums = names.flatMap((r) => range(slots).map((t) => `sum${r}_${t}`))
  const { start, load } = weightLoads(of, sizes, v)
  return `
${stageMemory(chunk, K, slots)}
${norm ? normMemory(threads, slots, features) : ""}
var<workgroup> chosen: vec4u;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % ${LANES}u;
  let group = lid / ${LANES}u;
  let part = lid % ${SHARE}u;
  if (lid == 0u) {
    var count = 0u;
    for (var t = 0u; t < ${slots}u; t++) { count += u32(${slotIn(sizes, v, "t")} != ${NONE}); }
    chosen = vec4u(${v.groups.at("wid.x")}, count, 0u, 0u);
  }
  let tile = workgroupUniformLoad(&chosen);
  let expert = tile.x;
  let count = tile.y;
  if (expert >= ${experts}u) { return; }
  // Plus a zero that compilers do not know: they would unroll the loop.
  let turns = ${Math.ceil(K / chunk.elements / SHARE)}u + wid.z;
  var row = wid.y * ${rowsOf(sizes)}u + lid / ${SHARE}u;
  ${start}
  ${stageRows({
    chunk,
    K,
    threads,
    slots,
    row: (t) => `min(${slotIn(sizes, v, t)}, params.slots - 1u) / ${slotsPerRow}u`,
    xStride: K,
    norm,
    views: v,
    features,
  })}
  ${sums.map((sum) => `var ${sum} = 0.0;`).join(" ")}
  var turn = 0u;
  for (var i = turns * ${TASKS}u; i > 0u; i--) {
    ${names.map((r) => `let w${r} = w0_${r}; let s${r} = s0_${r};`).join(" ")}
    ${load}
    ${names.map((r) => chunk.decode(`q${r}`, `w${r}`)).join("\n")}
    ${multiplyPairs(names, sizes)}
    turn++;
    if (turn == turns) {
      turn = 0u;
      ${range(Math.log2(SHARE))
        .flatMap((bit) => sums.map((sum) => `${sum} += subgroupShuffleXor(${sum}, ${2 ** bit}u);`))
        .join("\n")}
      if (row < ${sizes.N}u) {
        ${range(slots)
          .map((t) => storeSums(of, sizes, v, t))
          .join("\n")}
      }
      ${sums.map((sum) => `${sum} = 0.0;`).join(" ")}
      row += ${threads / SHARE}u;
    }
  }
}`
}

/**
 * WGSL that starts to load the weights `w<d>_<r>` and scales `s<d>_<r>` of the first turns, and that which moves them up and loads
 * what comes some turns after `w0_<r>`, be it of the next row.
 */
function weightLoads({ weights }: Grouped, { chunk, threads, N, K }: Sizes, v: Views) {
  const names = range(weights.length)
  const accessors = names.map((r) => weightAccessors(v, `${r}`))
  const place = (operand: Operand | undefined, unit: number) => {
    if (!operand) return "0u"
    const [perRow, perExpert] = [...operand.strides.slice(0, -1)].reverse()
    return `expert * ${perExpert / unit}u + min(load_row, ${N - 1}u) * ${perRow / unit}u`
  }
  const find = names
    .map((r) => {
      const { weight, scales, biases } = weights[r]
      const first = place(weight, 16 / itemSize(weight.dtype))
      return `w_row${r} = ${first}; s_row${r} = ${place(scales, 1)}; b_row${r} = ${place(biases, 1)};`
    })
    .join("\n")
  const load = (d: number) => `{
    let c = min(load_turn * ${SHARE}u + part, ${K / chunk.elements - 1}u);
    ${names
      .map((r) => {
        const scales = chunk.scales(accessors[r], `s_row${r}`, `b_row${r}`, "c")
        return `w${d}_${r} = ${accessors[r].weight.at(`w_row${r} + c`)}; s${d}_${r} = ${scales};`
      })
      .join("\n")}
    load_turn++;
    if (load_turn == turns) { load_turn = 0u; load_row += ${threads / SHARE}u; ${find} }
  }`
  const declared = (d: number) =>
    names.map((r) => `var w${d}_${r}: vec4u; var s${d}_${r}: ${chunk.scaleType};`).join(" ")
  const moved = (d: number) => names.map((r) => `w${d}_${r} = w${d + 1}_${r}; s${d}_${r} = s${d + 1}_${r};`).join(" ")
  return {
    start: `var load_row = row;
  var load_turn = 0u;
  ${names.map((r) => `var w_row${r}: u32; var s_row${r}: u32; var b_row${r}: u32;`).join(" ")}
  ${find}
  ${range(AHEAD)
    .map((d) => `${declared(d)} ${load(d)}`)
    .join("\n")}`,
    load: `${range(AHEAD - 1)
      .map(moved)
      .join("\n")}
    if (i > ${AHEAD}u) ${load(AHEAD - 1)}`,
  }
}

/** WGSL that multiplies the decoded weights `q<r>` with the slots there are, a pair of them at a time. */
function multiplyPairs(names: readonly number[], { chunk, slots, K }: Sizes): string {
  const multiply = (t: number) => `{
      ${chunk.load("x", `${t * rowVectors(chunk, K)}u + at`)}
      ${names.map((r) => `sum${r}_${t} += ${chunk.dot(`q${r}`, "x", `s${r}`)};`).join("\n")}
    }`
  const pairs = range(slots / PAIR).map((pair) => {
    const products = range(PAIR).map((t) => multiply(pair * PAIR + t))
    return pair === 0 ? products.join("\n") : `if (count > ${pair * PAIR}u) { ${products.join("\n")} }`
  })
  return `let at = (turn * ${SHARE}u + part) * ${chunk.stride}u;
    ${pairs.join("\n")}`
}

/** WGSL by which one of the lanes that share a row stores what it makes of the sums of slot `t`. */
function storeSums({ norm, weights, activation }: Grouped, sizes: Sizes, v: Views, t: number): string {
  const totals = weights.map(({ bias }, r) => {
    const total = `sum${r}_${t}${norm ? ` * inverse${t}` : ""}`
    if (!bias) return total
    const [perRow, perExpert] = [...bias.strides].reverse()
    return `${total} + ${weightAccessors(v, `${r}`).bias!.load(`expert * ${perExpert}u + row * ${perRow}u`)}`
  })
  const value = activation ? `glu(${totals.join(", ")})` : totals[0]
  const place = v.out.at(`${slotIn(sizes, v, `${t}u`)} * ${sizes.N}u + row`)
  return `if (part == ${t % SHARE}u && count > ${t}u) { ${place} = ${value}; }`
}
