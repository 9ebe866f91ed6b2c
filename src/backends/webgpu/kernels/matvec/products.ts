import type { WeightFormat } from "../../../ops.js"
import { weightRoles } from "../../../ops.js"
import type { Operand } from "../../../program.js"
import { type Dispatch, type KernelContext, partOf } from "../../dispatch.js"
import { type ChunkFormat, chunkFormat } from "./chunk.js"
import { LANES, matvec, rowVectors, type Tuning } from "./matvec.js"

/** Splits the operands of several weights, in the order of their formats. */
export function splitWeights(formats: readonly WeightFormat[], operands: readonly Operand[]): Operand[][] {
  let at = 0
  return formats.map((format) => {
    const count = weightRoles(format).length
    at += count
    return operands.slice(at - count, at)
  })
}

interface Product {
  readonly x: Operand
  readonly norm: { readonly weight: Operand; readonly eps: number } | null
  readonly formats: readonly WeightFormat[]
  readonly weights: readonly Operand[]
  readonly residual: Operand | null
  readonly output: Operand
}

/**
 * Dispatches for a product with few rows (`matmul`, `norm_matmul`), or null where the format or the sizes need the
 * generic kernel.
 */
export function fewRows(product: Product, context: KernelContext): Dispatch[] | null {
  const { x, norm, formats, residual, output } = product
  const [L, K] = x.shape
  const weights = splitWeights(formats, product.weights)
  const chunks = weights.map(([weight], i) => chunkFormat(formats[i], weight, K, context.features))
  const [chunk] = chunks
  if (!chunk || chunks.some((other) => other?.name !== chunk.name) || x.offset % 16 !== 0) return null
  const tuning = tune(chunk, K, L, context)
  if (!tuning) return null
  const sizes = weights.map(([{ shape }]) => shape[0]).join("+")
  const label = `matvec ${chunk.name} ${sizes}x${K}${norm ? ", norm" : ""}${residual ? ", residual" : ""}`
  let column = 0
  const segments = weights.flatMap((operands, i) => {
    const parts = context.ranges(operands).map((range) => ({
      format: formats[i],
      operands: operands.map((operand) => partOf(operand, range)),
      column: column + range.start,
    }))
    column += operands[0].shape[0]
    return parts
  })
  // Parts of a weight above the binding limit get a dispatch each; whole weights share one.
  const launches = segments.length > weights.length ? segments.map((segment) => [segment]) : [segments]
  return launches.map((segments) => matvec({ label, x, norm, chunk, segments, residual, output, tuning }, context))
}

/** Null when the staged rows do not fit the workgroup memory. */
export function tune(chunk: ChunkFormat, K: number, L: number, { features }: KernelContext): Tuning | null {
  const groups = features.subgroups ? 4 : 2
  const rows = 4
  const width = Math.min(features.subgroups?.min ?? 1, LANES)
  const bytes = (tile: number) =>
    tile * rowVectors(chunk, K) * 16 + (groups * LANES * rows * tile * 4) / width + groups * LANES * 4
  const tile = [4, 2, 1].find((tile) => tile < 2 * L && bytes(tile) <= features.maxWorkgroupStorage)
  return tile ? { rows, groups, tile } : null
}
