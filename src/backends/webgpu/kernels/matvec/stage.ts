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

interface StageRow {
  readonly chunk: ChunkFormat
  readonly K: number
  readonly threads: number
  /** WGSL of the row of x, and of the slot in `xs` that it goes to. */
  readonly row: string
  readonly slot: string
  readonly x: Accessor
  readonly xStride: number
  readonly norm: { readonly weight: Accessor; readonly eps: number; readonly wide: boolean } | null
  /** WGSL of a factor on every element. */
  readonly factor?: string
}

/** WGSL declaration of what {@link stageRow} sums squares in. */
export function normMemory(threads: number): string {
  return `var<workgroup> squares: array<f32, ${threads}>;`
}

/**
 * WGSL that loads a row of K activations, normalises it, and stores it into `xs`; all threads take part, and a barrier
 * must follow. Workgroup memory starts as zeros, which pads the row.
 */
export function stageRow({ chunk, K, threads, row, slot, x, xStride, norm, factor }: StageRow): string {
  const units = K / UNIT
  const turns = range(Math.ceil(units / threads))
  const unit = (t: number) => `(lid + ${t * threads}u)`
  const guard = (t: number) => ((t + 1) * threads <= units ? "" : `if (${unit(t)} < ${units}u)`)
  const four = (text: (i: number) => string) => range(4).map(text).join("\n")
  const load = turns.map((t) => {
    const element = `((${row}) * ${xStride}u + ${unit(t)} * ${UNIT}u)`
    const weights = (i: number) => range(4).map((j) => norm!.weight.load(`${unit(t)} * ${UNIT}u + ${4 * i + j}u`))
    return `
${four((i) => `var a${t}_${i} = vec4f();`)}
${norm ? four((i) => `var g${t}_${i} = vec4f();`) : ""}
${guard(t)} {
${four((i) => `a${t}_${i} = ${x.at(`${element} / 4u + ${i}u`)};`)}
${norm ? four((i) => `g${t}_${i} = vec4f(${weights(i).join(", ")});`) : ""}
}`
  })
  const squares = turns.flatMap((t) => range(4).map((i) => `dot(a${t}_${i}, a${t}_${i})`)).join(" + ")
  const store = turns.map((t) => {
    const scaled = (i: number) => (norm ? `a${t}_${i} * (inverse * g${t}_${i})` : `a${t}_${i}`)
    return `${guard(t)} {
${four((i) => `let v${i} = ${factor ? `${scaled(i)} * (${factor})` : scaled(i)};`)}
${chunk.stage(unit(t))}
}`
  })
  return `{
let base = (${slot}) * ${rowVectors(chunk, K)}u;
${load.join("\n")}
${norm ? sumSquares(squares, threads, K, norm) : ""}
${store.join("\n")}
}`
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
