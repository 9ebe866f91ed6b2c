import type { WeightOf } from "../../../../ir/type.js"
import { itemSize } from "../../../../tensor/dtype.js"
import type { Operand } from "../../../../ir/program.js"
import type { GpuFeatures } from "../../features.js"
import { range } from "../../wgsl/range.js"
import type { ChunkFormat } from "../../wgsl/formats/chunk.js"
import type { WeightAccessors } from "./chunk.js"
import { chunksPerLane, isWide, LANES, rowVectors } from "./stage.js"
import { rolledTurns, turnPrefix, type Turns, unrolledTurns } from "./turns.js"

/** A value by name, as WGSL. */
export interface Extra {
  readonly name: string
  readonly value: string
}

/** One weight row that a group of lanes streams. */
export interface StreamedRow {
  readonly weights: WeightAccessors
  readonly operands: WeightOf<Operand>
  /** WGSL of the row in the innermost matrix, given `task`; within bounds. */
  readonly row: string
  /** WGSL of the expert, for stacked matrices; given `task`, and `part` where rows have several. */
  readonly expert?: string
  /** WGSL of the staged rows that it is multiplied with. */
  readonly slots: readonly string[]
}

export interface Stream {
  readonly chunk: ChunkFormat
  /** Elements of a row, of all its parts together. */
  readonly K: number
  /** Rows of several experts that follow each other as one. */
  readonly parts?: number
  /** Weight rows of one task. */
  readonly rows: readonly StreamedRow[]
  /** Tasks of each group. */
  readonly tasks: number
  /** WGSL of the group's first task. */
  readonly first: string
  /** WGSL between the first loads and their use: staging activations takes as long as the loads. */
  readonly prologue: string
  /** Turns that loads run ahead of their use: {@link AHEAD}, unless there is nothing else to wait for. */
  readonly ahead?: number
  /** Further values (f32) that the epilogue uses by name, as WGSL given `task`: loaded with the weights. */
  readonly extras?: readonly Extra[]
  /** WGSL run by every lane with the names of its shares of the totals, before they are summed. */
  readonly before?: (totals: readonly string[]) => string
  /** WGSL run by every lane with the names of the totals, row by row, for `task`; tasks past the end come too. */
  readonly epilogue: (totals: readonly string[]) => string
  readonly features: GpuFeatures
}

const AHEAD = 2

/**
 * WGSL of the main part of a mat-vec kernel: every lane of a group takes every 32nd chunk of the task's rows. One loop
 * runs over the chunks of all tasks, and loads what comes some turns later, be it of the next task, so that memory never
 * waits; as short as can be, since kernels that alternate are fetched anew each time. Needs `wid`, the workgroup's id, with z = 0.
 */
export function streamTasks(stream: Stream): string {
  const { chunk, K, parts = 1, rows, tasks, features, ahead = AHEAD } = stream
  const totals = rows.flatMap(({ slots }, r) => slots.map((_, i) => `acc${r}_${i}`))
  const names = rows.flatMap((_, r) => [`w${r}`, `s${r}`])
  const type = (name: string) => (name.startsWith("w") ? "vec4u" : chunk.scaleType)
  const declared = range(ahead).map((d) => names.map((name) => `var ${turnPrefix(d)}${name}: ${type(name)};`).join(" "))
  // Plus a zero that compilers do not know: they would unroll the loop.
  const turns = `(${chunksPerLane(chunk, K)}u + wid.z)`
  const findRows = (task: string) => `{ let task = ${task}; ${rows.map((row, r) => findRow(row, r)).join("\n")} }`
  const chunks = K / chunk.elements
  const findPart = `let part = c / ${chunks / parts}u; c -= part * ${chunks / parts}u; ${findRows("load_task")}`
  const nextTask = `if (load_turn == ${turns}) { load_turn = 0u; load_task += 1u; ${parts === 1 ? findRows("load_task") : ""} }`
  const load = (prefix: string) => `{ var c = min(load_turn * ${LANES}u + lane, ${chunks - 1}u);
${parts > 1 ? findPart : ""}
${rows.map(({ weights }, r) => `${prefix}w${r} = ${weights.weight.at(`w_row${r} + c`)};\n${prefix}s${r} = ${chunk.scales(weights, `s_row${r}`, `b_row${r}`, "c")};`).join("\n")}
load_turn += 1u;
${tasks > 1 ? nextTask : ""} }`
  const allSlots = [...new Set(rows.flatMap((row) => row.slots))]
  const at = (slot: string) => `(${slot}) * ${rowVectors(chunk, K)}u + (turn * ${LANES}u + lane) * ${chunk.stride}u`
  const products = rows.map((row, r) => {
    const add = (slot: string, i: number) =>
      `acc${r}_${i} += ${chunk.dot("q", `x${allSlots.indexOf(slot)}_`, `s${r}`)};`
    return `{\n${chunk.decode("q", `w${r}`)}\n${row.slots.map(add).join("\n")}\n}`
  })
  const extras = stream.extras ?? []
  const finish = `${stream.before?.(totals) ?? ""}\n${reduceLanes(totals, features)}\n${stream.epilogue(totals)}`
  const next = `if (turn == ${turns}) {
    turn = 0u;
    ${finish}
    ${totals.map((a) => `${a} = 0.0;`).join(" ")}
    task += 1u;
    ${extras.map(({ name, value }) => `${name} = ${value};`).join("\n    ")}
  }`
  const loop: Turns = {
    each: chunksPerLane(chunk, K),
    tasks,
    total: `${turns} * ${tasks}u`,
    ahead,
    names,
    load,
    multiply: [...allSlots.map((slot, i) => chunk.load(`x${i}_`, at(slot))), ...products].join("\n  "),
    next,
  }
  // With more activations than one row, or loads further ahead, kernels would be long.
  const isAlone = ahead === AHEAD && rows.every(({ slots }) => slots.length === 1)
  return `
var task = ${stream.first};
var load_task = task;
var load_turn = 0u;
${rows.map((_, r) => `var w_row${r}: u32; var s_row${r}: u32; var b_row${r}: u32;`).join(" ")}
${parts === 1 ? findRows("load_task") : ""}
${declared.join("\n")}
${range(ahead)
  .map((d) => load(turnPrefix(d)))
  .join("\n")}
${extras.map(({ name, value }) => `var ${name} = ${value};`).join("\n")}
${stream.prologue}
${totals.map((a) => `var ${a} = 0.0;`).join(" ")}
var turn = 0u;
${isAlone ? unrolledTurns(loop) : rolledTurns(loop)}
${tasks > 1 ? "" : finish}`
}

/** WGSL that finds a row's first chunk, scale and bias. */
function findRow(row: StreamedRow, r: number): string {
  const { weight, scales, biases } = row.operands
  const first = (operand: Operand | undefined, elementsPerUnit: number) => {
    if (!operand) return "0u"
    const stride = (axis: number) => `${operand.strides[axis] / elementsPerUnit}u`
    const expert = row.expert ? ` + (${row.expert}) * ${stride(0)}` : ""
    return `(${row.row}) * ${stride(operand.shape.length - 2)}${expert}`
  }
  return `w_row${r} = ${first(weight, 16 / itemSize(weight.dtype))};
s_row${r} = ${first(scales, 1)};
b_row${r} = ${first(biases, 1)};`
}

/** Lanes that a shuffle can reach on every device like this one. */
function shuffled({ subgroups }: GpuFeatures): number {
  return Math.min(subgroups?.min ?? 1, LANES)
}

/** Bytes of workgroup memory that {@link reduceLanes} needs. */
export function reductionBytes(threads: number, totals: number, features: GpuFeatures): number {
  return isWide(features) ? 0 : (threads / shuffled(features)) * totals * 4
}

/** WGSL declarations for {@link reduceLanes}. */
export function reductionMemory(threads: number, totals: number, features: GpuFeatures): string {
  const bytes = reductionBytes(threads, totals, features)
  return bytes === 0 ? "" : `var<workgroup> partial: array<f32, ${bytes / 4}>;`
}

/** WGSL that replaces each lane's share by its group's sum. */
export function reduceLanes(totals: readonly string[], features: GpuFeatures): string {
  const width = shuffled(features)
  const masks = range(Math.log2(width)).map((bit) => 2 ** bit)
  const shuffles = masks.map((mask) => totals.map((a) => `${a} += subgroupShuffleXor(${a}, ${mask}u);`).join(" "))
  if (isWide(features)) return shuffles.join("\n")
  const parts = LANES / width
  return `
${shuffles.join("\n")}
workgroupBarrier();
if (lid % ${width}u == 0u) {
  ${totals.map((a, i) => `partial[(lid / ${width}u) * ${totals.length}u + ${i}u] = ${a};`).join(" ")}
}
workgroupBarrier();
${totals.map((a) => `${a} = 0.0;`).join(" ")}
for (var p = group * ${parts}u; p < (group + 1u) * ${parts}u; p++) {
  ${totals.map((a, i) => `${a} += partial[p * ${totals.length}u + ${i}u];`).join(" ")}
}`
}
