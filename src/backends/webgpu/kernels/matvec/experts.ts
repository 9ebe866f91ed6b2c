import type { WeightOf } from "../../../../ir/type.js"
import type { Operand } from "../../../../ir/program.js"
import type { Accessor, KernelContext } from "../../dispatch.js"
import type { ChunkFormat } from "../../wgsl/formats/chunk.js"
import { areAlike } from "../../wgsl/formats/formats.js"
import { chunkFormat } from "./chunk.js"
import type { Extra } from "./stream.js"

/** The format that several weights have in common, if there is a fast one. */
export function sameChunk(
  weights: readonly WeightOf<Operand>[],
  K: number,
  { features }: KernelContext,
): ChunkFormat | null {
  const chunks = weights.map((weight) => chunkFormat(weight, K, features))
  return areAlike(weights) && chunks.every((chunk) => chunk !== null) ? chunks[0] : null
}

/** The bias of an expert's row, if there is one, as an extra of `streamTasks`. */
export function biases(
  name: string,
  accessor: Accessor | undefined,
  { bias }: WeightOf<Operand>,
  { row, expert }: { row: string; expert: string },
): Extra[] {
  if (!accessor || !bias) return []
  const [perExpert, perRow] = bias.strides
  return [{ name, value: accessor.load(`(${expert}) * ${perExpert}u + (${row}) * ${perRow}u`) }]
}
