import type { WeightFormat } from "../../../ops.js"
import type { Operand } from "../../../program.js"
import type { Accessor, KernelContext } from "../../dispatch.js"
import type { ChunkFormat } from "./chunk.js"
import { chunkFormat } from "./formats/choose.js"
import type { Extra } from "./stream.js"

/** The format that several weights have in common, if there is a fast one. */
export function sameChunk(
  weights: readonly (readonly Operand[])[],
  formats: readonly WeightFormat[],
  K: number,
  { features }: KernelContext,
): ChunkFormat | null {
  const chunks = weights.map(([weight], i) => chunkFormat(formats[i], weight, K, features))
  return chunks.every((chunk) => chunk && chunk.name === chunks[0]?.name) ? chunks[0] : null
}

/** The bias of an expert's row, if there is one, as an extra of `streamTasks`. */
export function biases(
  name: string,
  bias: Accessor | undefined,
  operands: readonly Operand[],
  { row, expert }: { row: string; expert: string },
): Extra[] {
  const { strides } = operands[operands.length - 1]
  return bias ? [{ name, value: bias.load(`(${expert}) * ${strides[0]}u + (${row}) * ${strides[1]}u`) }] : []
}
