import type { Sym } from "../../ir/dim.js"
import type { Operand } from "../../ir/program.js"

/** A number that kernels are given: known when a program is linked, or so many for each row of a replay. */
export type Count = number | { readonly rows: Sym; readonly times: number }

/** The rows of an operand. */
export function rowsOf({ rows, shape }: Operand): Count {
  return rows ? { rows, times: 1 } : shape[0]
}

/** An operand's elements, or how many rows of `n` they make. */
export function elementsOf(operand: Operand, n = 1): Count {
  if (operand.shape.length === 0) return 1 / n
  return times(rowsOf(operand), operand.shape.slice(1).reduce((product, dim) => product * dim, 1) / n)
}

export function times(count: Count, factor: number): Count {
  return typeof count === "number" ? count * factor : { rows: count.rows, times: count.times * factor }
}

/** The number with so many rows. */
export function counted(count: Count, rowsFor: (rows: Sym) => number): number {
  return typeof count === "number" ? count : count.times * rowsFor(count.rows)
}

/** The number at most. */
export function most(count: Count): number {
  return counted(count, ({ max }) => max)
}
