import type { DType } from "../../../../tensor/dtype.js"
import type { Operand } from "../../../program.js"
import { type Accessor, reads, type View } from "../../dispatch.js"
import { range } from "../../wgsl/range.js"
import { type ChunkFormat, UNIT } from "./chunk.js"

export interface Norm {
  readonly weight: Operand
  readonly eps: number
}

/** Lanes that share a weight row. */
export const LANES = 32

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
  readonly x: Accessor
  readonly xStride: number
  readonly norm: StagedNorm | null
  /** WGSL of a factor on the elements of a unit, given its first element. */
  readonly factor?: (element: string) => string
  /** WGSL of work beside, before the wait. */
  readonly meanwhile?: string
}

export interface StagedNorm {
  readonly weight: Accessor
  readonly dtype: DType
  readonly eps: number
  /** See `isWide`. */
  readonly wide: boolean
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
function parts(threads: number, wide: boolean): number {
  return wide ? threads / LANES : threads
}

/** WGSL declaration of `xs`, the staged rows. */
export function stageMemory(chunk: ChunkFormat, K: number, slots: number): string {
  return `var<workgroup> xs: array<${chunk.staged}, ${slots * rowVectors(chunk, K)}>;`
}

/** WGSL declaration of what {@link stageRows} sums squares in. */
export function normMemory(threads: number, slots: number, wide: boolean): string {
  return `var<workgroup> squares: array<f32, ${slots * parts(threads, wide)}>;`
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
  const { chunk, K, threads, x, norm, factor } = of
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
${each((i) => `a${t}_${i} = ${x.at(`${element} / 4u + ${i}u`)};`)}
${norm ? loadNorm(norm, `g${t}_`, unit(t), vectors) : ""}
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
${norm ? sumSquares(squares, threads, first, norm) : ""}
${store.join("\n")}
}`
}

/** WGSL that loads the norm's weights of a unit. */
function loadNorm({ weight, dtype }: StagedNorm, g: string, unit: string, vectors: number): string {
  if (dtype === "float32") {
    return range(vectors)
      .map((i) => `${g}${i} = bitcast<vec4f>(${weight.at(`${unit} * ${vectors}u + ${i}u`)});`)
      .join("\n")
  }
  const four = ([a, b]: string) =>
    dtype === "float16"
      ? `vec4f(unpack2x16float(w.${a}), unpack2x16float(w.${b}))`
      : `bitcast<vec4f>(vec4u(w.${a} << 16u, w.${a} & 0xffff0000u, w.${b} << 16u, w.${b} & 0xffff0000u))`
  return `{ let w = ${weight.at(unit)}; ${g}0 = ${four("xy")}; ${g}1 = ${four("zw")}; }`
}

/** WGSL that leaves the parts of a row's sum of squares in workgroup memory. */
function sumSquares(squares: string, threads: number, slot: string, { wide }: StagedNorm): string {
  if (!wide) return `squares[${slot} * ${threads}u + lid] = ${squares};`
  return `
var square = ${squares};
${shuffleSum("square")}
if (lane == 0u) { squares[${slot} * ${threads / LANES}u + group] = square; }`
}

/** WGSL of 1 / rms of a slot's row. */
function inverseRms({ K, threads }: StageRows, { eps, wide }: StagedNorm, slot: number): string {
  const name = `square${slot}`
  const count = parts(threads, wide)
  const sum = wide
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

/** A WGSL literal of a number. */
export function wgslFloat(value: number): string {
  const text = String(value)
  return /[.e]/.test(text) ? `${text}f` : `${text}.0f`
}
