import { itemSize } from "../../../../tensor/dtype.js"
import type { Operand } from "../../../program.js"
import type { GpuFeatures } from "../../features.js"
import { type ChunkFormat, range, type WeightAccessors } from "./chunk.js"
import { chunksPerLane, LANES, rowVectors } from "./stage.js"

/** One weight row that a group of lanes streams. */
export interface StreamedRow {
  readonly weights: WeightAccessors
  readonly operands: readonly Operand[]
  /** WGSL of the row in the innermost matrix, given `task`; within bounds. */
  readonly row: string
  /** WGSL of the expert, for stacked matrices. */
  readonly expert?: string
  /** WGSL of the staged rows that it is multiplied with. */
  readonly slots: readonly string[]
}

export interface Stream {
  readonly chunk: ChunkFormat
  readonly K: number
  /** Weight rows of one task. */
  readonly rows: readonly StreamedRow[]
  /** Consecutive tasks of each group of lanes. */
  readonly tasks: number
  /** WGSL of the group's first task. */
  readonly first: string
  /** WGSL between the first loads and their use: staging activations takes as long as the loads. */
  readonly prologue: string
  /** Further values (f32) that the epilogue uses by name, as WGSL given `task`: loaded with the weights. */
  readonly extras?: readonly { readonly name: string; readonly value: string }[]
  /** WGSL run by every lane with the names of the totals, row by row, for `task`; tasks past the end come too. */
  readonly epilogue: (totals: readonly string[]) => string
  readonly features: GpuFeatures
}

/** True when a group of lanes lies within one subgroup on every device like this one. */
export function isWide({ subgroups }: GpuFeatures): boolean {
  return (subgroups?.min ?? 1) >= LANES
}

/**
 * WGSL of the main part of a mat-vec kernel: every lane of a group takes every 32nd chunk of the task's rows. All loads
 * of a task are issued at once, and before the arithmetic of the task before it, so that memory never waits.
 */
export function streamTasks(stream: Stream): string {
  const { chunk, K, rows, tasks, features } = stream
  const turns = range(chunksPerLane(chunk, K))
  const totals = rows.flatMap(({ slots }, r) => slots.map((_, i) => `acc${r}_${i}`))
  const extras = stream.extras ?? []
  const variables = [
    ...rows.flatMap((_, r) => turns.flatMap((j) => [`w${r}_${j}: vec4u`, `s${r}_${j}: vec2f`])),
    ...extras.map(({ name }) => `${name}: f32`),
  ]
  const names = variables.map((variable) => variable.split(":")[0])
  const declare = (prefix: string) => variables.map((variable) => `var ${prefix}${variable};`).join(" ")
  const load = (prefix: string) =>
    [
      ...rows.map((row, r) => loadRow(row, r, prefix, chunk, K)),
      ...extras.map(({ name, value }) => `${prefix}${name} = ${value};`),
    ].join("\n")
  const allSlots = [...new Set(rows.flatMap((row) => row.slots))]
  const arithmetic = turns.map((j) => {
    const at = (slot: string) => `(${slot}) * ${rowVectors(chunk, K)}u + (lane + ${j * LANES}u) * ${chunk.stride}u`
    const products = rows.map((row, r) => {
      const add = (slot: string, i: number) =>
        `acc${r}_${i} += ${chunk.dot("q", `x${allSlots.indexOf(slot)}_`, `s${r}_${j}`)};`
      return `{\n${chunk.decode("q", `w${r}_${j}`)}\n${row.slots.map(add).join("\n")}\n}`
    })
    return `{\n${allSlots.map((slot, i) => chunk.load(`x${i}_`, at(slot))).join("\n")}\n${products.join("\n")}\n}`
  })
  const finish = `
${totals.map((a) => `var ${a} = 0.0;`).join(" ")}
${arithmetic.join("\n")}
${reduceLanes(totals, features)}
${stream.epilogue(totals)}`
  if (tasks === 1) {
    return `
let task = ${stream.first};
${declare("")}
${load("")}
${stream.prologue}
${finish}`
  }
  return `
var task = ${stream.first};
${declare("next_")}
${load("next_")}
${stream.prologue}
for (var t = 0u; t < ${tasks}u; t++) {
  ${names.map((name) => `let ${name} = next_${name};`).join(" ")}
  if (t < ${tasks - 1}u) {
    let done = task;
    task += 1u;
    ${load("next_")}
    task = done;
  }
  ${finish}
  task += 1u;
}`
}

/** WGSL that loads this lane's chunks of a row and their scales. */
function loadRow(row: StreamedRow, r: number, prefix: string, chunk: ChunkFormat, K: number): string {
  const [weight, scales, biases] = row.operands
  const first = (operand: Operand | undefined, elementsPerUnit: number) => {
    if (!operand) return "0u"
    const stride = (axis: number) => `${operand.strides[axis] / elementsPerUnit}u`
    const expert = row.expert ? ` + (${row.expert}) * ${stride(0)}` : ""
    return `(${row.row}) * ${stride(operand.shape.length - 2)}${expert}`
  }
  const chunks = K / chunk.elements
  const loads = range(chunksPerLane(chunk, K)).map((j) => {
    const inside = (j + 1) * LANES <= chunks
    const c = inside ? `(lane + ${j * LANES}u)` : `min(lane + ${j * LANES}u, ${chunks - 1}u)`
    return `${prefix}w${r}_${j} = ${row.weights.weight.at(`w_row + ${c}`)};
${prefix}s${r}_${j} = ${chunk.scales(row.weights, "s_row", "b_row", c)};`
  })
  return `{
let w_row = ${first(weight, 16 / itemSize(weight.dtype))};
let s_row = ${first(row.weights.scales && scales, 1)};
let b_row = ${first(row.weights.biases && biases, 1)};
${loads.join("\n")}
}`
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
function reduceLanes(totals: readonly string[], features: GpuFeatures): string {
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
