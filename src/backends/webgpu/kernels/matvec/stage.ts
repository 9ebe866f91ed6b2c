import type { DType } from "../../../../tensor/dtype.js"
import type { Accessor } from "../../dispatch.js"
import { type ChunkFormat, range, UNIT } from "./chunk.js"

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
  /** WGSL of a factor on every element of a slot's row. */
  readonly factor?: (slot: string) => string
}

interface StagedNorm {
  readonly weight: Accessor
  readonly dtype: DType
  readonly eps: number
  /** See `isWide`. */
  readonly wide: boolean
}

/** WGSL declaration of what {@link stageRows} sums squares in. */
export function normMemory(threads: number): string {
  return `var<workgroup> squares: array<f32, ${threads}>;`
}

/**
 * WGSL that loads rows of K activations, normalises them, and stores them into `xs`, and the barrier after that; all
 * threads take part. Workgroup memory starts as zeros, which pads the rows.
 */
export function stageRows(of: StageRows): string {
  if (!of.norm) return `${stageUnits(of, of.slots, "0u")}\nworkgroupBarrier();`
  if (of.slots === 1) return `${stageUnits(of, 1, "0u")}\nworkgroupBarrier();`
  // Each row has a sum of its own to wait for.
  return `for (var l = 0u; l < ${of.slots}u; l++) ${stageUnits(of, 1, "l")}\nworkgroupBarrier();`
}

/** Units of `slots` rows from slot `first` on, spread over the threads; all loads come first. */
function stageUnits(of: StageRows, slots: number, first: string): string {
  const { chunk, K, threads, x, norm, factor } = of
  const units = K / UNIT
  const total = slots * units
  const turns = range(Math.ceil(total / threads))
  const guard = (t: number) => ((t + 1) * threads <= total ? "" : `if (lid < ${total - t * threads}u)`)
  const slot = (t: number) => (slots === 1 ? first : `((lid + ${t * threads}u) / ${units}u)`)
  const unit = (t: number) => (slots === 1 ? `(lid + ${t * threads}u)` : `((lid + ${t * threads}u) % ${units}u)`)
  const four = (text: (i: number) => string) => range(4).map(text).join("\n")
  const load = turns.map((t) => {
    const element = `((${of.row(slot(t))}) * ${of.xStride}u + ${unit(t)} * ${UNIT}u)`
    return `
${four((i) => `var a${t}_${i} = vec4f();`)}
${norm ? four((i) => `var g${t}_${i} = vec4f();`) : ""}
${guard(t)} {
${four((i) => `a${t}_${i} = ${x.at(`${element} / 4u + ${i}u`)};`)}
${norm ? four((i) => `g${t}_${i} = ${fourWeights(norm, `${unit(t)} * ${UNIT}u + ${4 * i}u`)};`) : ""}
}`
  })
  const squares = turns.flatMap((t) => range(4).map((i) => `dot(a${t}_${i}, a${t}_${i})`)).join(" + ")
  const store = turns.map((t) => {
    const scaled = (i: number) => (norm ? `a${t}_${i} * (inverse * g${t}_${i})` : `a${t}_${i}`)
    return `${guard(t)} {
let base = ${slot(t)} * ${rowVectors(chunk, K)}u;
${factor ? `let factor = ${factor(slot(t))};` : ""}
${four((i) => `let v${i} = ${factor ? `${scaled(i)} * factor` : scaled(i)};`)}
${chunk.stage(unit(t))}
}`
  })
  return `{
${load.join("\n")}
${norm ? sumSquares(squares, threads, K, norm) : ""}
${store.join("\n")}
}`
}

/** WGSL of four norm weights from an element on that is a multiple of 4. */
function fourWeights({ weight, dtype }: StagedNorm, element: string): string {
  if (dtype === "float32")
    return `bitcast<vec4f>(vec4u(${range(4)
      .map((j) => weight.at(`${element} + ${j}u`))
      .join(", ")}))`
  const [a, b] = [weight.at(`(${element}) / 2u`), weight.at(`(${element}) / 2u + 1u`)]
  if (dtype === "float16") return `vec4f(unpack2x16float(${a}), unpack2x16float(${b}))`
  return `bitcast<vec4f>(vec4u(${a} << 16u, ${a} & 0xffff0000u, ${b} << 16u, ${b} & 0xffff0000u))`
}

function sumSquares(squares: string, threads: number, K: number, norm: { eps: number; wide: boolean }): string {
  const inverse = (sum: string) => `let inverse = inverseSqrt(${sum} / ${K}.0 + ${wgslFloat(norm.eps)});`
  if (norm.wide) {
    return `
var square = ${squares};
${range(5)
  .map((bit) => `square += subgroupShuffleXor(square, ${2 ** bit}u);`)
  .join("\n")}
if (lane == 0u) { squares[group] = square; }
workgroupBarrier();
var sum_squares = 0.0;
for (var i = 0u; i < ${threads / LANES}u; i++) { sum_squares += squares[i]; }
${inverse("sum_squares")}`
  }
  return `
squares[lid] = ${squares};
workgroupBarrier();
for (var half = ${2 ** Math.ceil(Math.log2(threads) - 1)}u; half > 0u; half >>= 1u) {
  if (lid < half && lid + half < ${threads}u) { squares[lid] += squares[lid + half]; }
  workgroupBarrier();
}
${inverse("squares[0]")}
workgroupBarrier();`
}

/** A WGSL literal of a number. */
export function wgslFloat(value: number): string {
  const text = String(value)
  return /[.e]/.test(text) ? `${text}f` : `${text}.0f`
}
