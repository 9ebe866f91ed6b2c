import type { WeightOf } from "../../../../ir/type.js"
import type { Operand } from "../../../../ir/program.js"
import type { Accessor } from "../../dispatch.js"
import type { Extra } from "./stream.js"

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
