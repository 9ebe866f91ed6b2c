import type { Operand } from "../../../../ir/program.js"
import { type Accessor, reads, type View } from "../../dispatch.js"
import type { GpuFeatures } from "../../features.js"
import { wgslFloat } from "../../wgsl/float_literal.js"
import { range } from "../../wgsl/range.js"
import { type ChunkFormat, UNIT } from "../../wgsl/formats/chunk.js"
import { denseFour } from "../../wgsl/formats/dense_floats.js"

export interface Norm {
  readonly weight: Operand
  readonly eps: number
}

/** Lanes that share a weight row. */
export const LANES = 32

/** True when a group of lanes lies within one subgroup on every device like this one. */
export function isWide({ subgroups }: GpuFeatures): boolean {
  return (subgroups?.min ?? 1) >= LANES
}

/** Chunks that each lane takes of a row of K elements. */
export function chunksPerLane(chunk: ChunkFormat, K: number): number {
  return Math.ceil(K / chunk.elements / LANES)
}

/** Workgroup vectors of one staged row, padded with zeros to whole turns of all lanes. */
export function rowVectors(chunk: ChunkFormat, K: number): number {
  return chunksPerLane(chunk, K) * LANES * chunk.stride
}

interface StageRows {
  readonly chunk: ChunkFormat
  readonly K: number
  readonly threads: number
  /** Rows to stage: slots of `xs`. */
  readonly slots: number
  /** WGSL of the row of x that goes to a slot. */
  readonly row: (slot: string) => string
  readonly xStride: number
  /** Its weights are the view `norm`: see {@link normView}. */
  readonly norm: Norm | null
  /** `x` is what is staged. */
  readonly views: Readonly<Record<string, Accessor>>
  readonly features: GpuFeatures
  /** WGSL of a factor on the elements of a unit, given its first element. */
  readonly factor?: (element: string) => string
  /** WGSL of work beside, before the wait. */
  readonly meanwhile?: string
}

/** How staging reads a norm's weights: 16 bytes at a time. Their first byte has to be aligned to that. */
export function normView({ weight }: Norm): View {
  return reads(weight, "vec4<u32>")
}

/** Whether staging can read a row of x, and a norm's weights. */
export function isStageable(x: { readonly offset: number }, norm: Norm | null): boolean {
  return x.offset % 16 === 0 && (norm?.weight.offset ?? 0) % 16 === 0
}

/** Parts in which a row's squares are summed: by group where shuffles span one, else by thread. */
function parts(threads: number, features: GpuFeatures): number {
  return isWide(features) ? threads / LANES : threads
}

/** Bytes of {@link normMemory}. */
export function normBytes(threads: number, slots: number, features: GpuFeatures): number {
  return slots * parts(threads, features) * 4
}

/** WGSL declaration of `xs`, the staged rows. */
export function stageMemory(chunk: ChunkFormat, K: number, slots: number): string {
  return `var<workgroup> xs: array<${chunk.staged}, ${slots * rowVectors(chunk, K)}>;`
}

/** WGSL declaration of what {@link stageRows} sums squares in. */
export function normMemory(threads: number, slots: number, features: GpuFeatures): string {
  return `var<workgroup> squares: array<f32, ${normBytes(threads, slots, features) / 4}>;`
}

/**
 * WGSL that loads rows of K activations, times the norm's weights, stores them into `xs`, and waits; all threads take
 * part. A row's factor 1 / rms is then `inverse<slot>`, for the products to be multiplied with: rows need not wait
 * for it. Workgroup memory starts as zeros, which pads the rows.
 */
export function stageRows(of: StageRows): string {
  const { slots, norm, meanwhile = "" } = of
  if (!norm) return `${stageUnits(of, slots, "0u")}\n${meanwhile}\nworkgroupBarrier();`
  const staged =
    slots === 1 ? stageUnits(of, 1, "0u") : `for (var l = 0u; l < ${slots}u; l++) ${stageUnits(of, 1, "l")}`
  return `${staged}
${meanwhile}
workgroupBarrier();
${range(slots)
  .map((slot) => inverseRms(of, norm, slot))
  .join("\n")}`
}

/** Units of `slots` rows from slot `first` on, spread over the threads; all loads come first. */
function stageUnits(of: StageRows, slots: number, first: string): string {
  const { chunk, K, threads, views, norm, factor } = of
  const vectors = UNIT / 4
  const units = K / UNIT
  const total = slots * units
  const turns = range(Math.ceil(total / threads))
  const guard = (t: number) => ((t + 1) * threads <= total ? "" : `if (lid < ${total - t * threads}u)`)
  const slot = (t: number) => (slots === 1 ? first : `((lid + ${t * threads}u) / ${units}u)`)
  const unit = (t: number) => (slots === 1 ? `(lid + ${t * threads}u)` : `((lid + ${t * threads}u) % ${units}u)`)
  const each = (text: (i: number) => string) => range(vectors).map(text).join("\n")
  const load = turns.map((t) => {
    const element = `((${of.row(slot(t))}) * ${of.xStride}u + ${unit(t)} * ${UNIT}u)`
    return `
${each((i) => `var a${t}_${i} = vec4f();`)}
${norm ? each((i) => `var g${t}_${i} = vec4f();`) : ""}
${guard(t)} {
${each((i) => `a${t}_${i} = ${views.x.at(`${element} / 4u + ${i}u`)};`)}
${norm ? loadNorm(norm, views.norm, `g${t}_`, unit(t)) : ""}
}`
  })
  const squares = turns.flatMap((t) => range(vectors).map((i) => `dot(a${t}_${i}, a${t}_${i})`)).join(" + ")
  const store = turns.map((t) => {
    const scale = [norm ? (i: number) => `g${t}_${i}` : null, factor ? () => "factor" : null].filter((f) => f !== null)
    return `${guard(t)} {
${factor ? `let factor = ${factor(`${unit(t)} * ${UNIT}u`)};` : ""}
${each((i) => `let v${i} = ${[`a${t}_${i}`, ...scale.map((f) => f(i))].join(" * ")};`)}
let base = ${slot(t)} * ${rowVectors(chunk, K)}u;
${chunk.stage(unit(t))}
}`
  })
  return `{
${load.join("\n")}
${norm ? sumSquares(of, squares, first) : ""}
${store.join("\n")}
}`
}

/** WGSL that loads the norm's weights of a unit. */
function loadNorm({ weight: { dtype } }: Norm, view: Accessor, g: string, unit: string): string {
  if (dtype === "float32")
    return range(2)
      .map((i) => `${g}${i} = bitcast<vec4f>(${view.at(`${unit} * 2u + ${i}u`)});`)
      .join("\n")
  const halves = dtype === "float16" ? dtype : "bfloat16"
  return `{ let w = ${view.at(unit)}; ${g}0 = ${denseFour(halves, ["w.x", "w.y"])}; ${g}1 = ${denseFour(halves, ["w.z", "w.w"])}; }`
}

/** WGSL that leaves the parts of a row's sum of squares in workgroup memory. */
function sumSquares({ threads, features }: StageRows, squares: string, slot: string): string {
  if (!isWide(features)) return `squares[${slot} * ${threads}u + lid] = ${squares};`
  return `
var square = ${squares};
${shuffleSum("square")}
if (lane == 0u) { squares[${slot} * ${threads / LANES}u + group] = square; }`
}

/** WGSL of 1 / rms of a slot's row. */
function inverseRms({ K, threads, features }: StageRows, { eps }: Norm, slot: number): string {
  const name = `square${slot}`
  const count = parts(threads, features)
  const sum = isWide(features)
    ? `var ${name} = select(0.0, squares[${slot * count}u + min(lane, ${count - 1}u)], lane < ${count}u);
${shuffleSum(name)}`
    : `var ${name} = 0.0;
for (var i = 0u; i < ${count}u; i++) { ${name} += squares[${slot * count}u + i]; }`
  return `${sum}
let inverse${slot} = inverseSqrt(${name} / ${K}.0 + ${wgslFloat(eps)});`
}

/** WGSL that replaces each lane's variable by its group's sum, where subgroups span one. */
function shuffleSum(name: string): string {
  return range(Math.log2(LANES))
    .map((bit) => `${name} += subgroupShuffleXor(${name}, ${2 ** bit}u);`)
    .join("\n")
}
