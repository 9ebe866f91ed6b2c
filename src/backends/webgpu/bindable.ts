import type { Sym } from "../../ir/dim.js"
import type { Operand } from "../../ir/program.js"
import { sizeOf } from "../../tensor/shape.js"

/** What follows from a number of rows that is told at each replay: see `Sym`. */
export interface PerReplay<T> {
  readonly rows: Sym
  readonly of: (rows: number) => T
}

/** Known when a program is compiled, or at each replay. */
export type Bindable<T> = T | PerReplay<T>

/** What follows from the rows of an operand. */
export function ofRows<T>({ rows, shape }: Operand, of: (rows: number) => T): Bindable<T> {
  return rows ? { rows, of } : of(shape[0])
}

/** What follows from the number of an operand's elements. */
export function ofElements<T>(operand: Operand, of: (elements: number) => T): Bindable<T> {
  const perRow = sizeOf(operand.shape.slice(1))
  return operand.shape.length === 0 ? of(1) : ofRows(operand, (rows) => of(rows * perRow))
}

/** What follows from a number. */
export function derive<T>(value: Bindable<number>, of: (value: number) => T): Bindable<T> {
  return typeof value === "number" ? of(value) : { rows: value.rows, of: (rows) => of(value.of(rows)) }
}

export function isPerReplay<T extends object | number>(value: Bindable<T>): value is PerReplay<T> {
  return typeof value === "object" && "of" in value
}

/** The value with so many rows; what they are where the program knows. */
export function bound<T extends object | number>(value: Bindable<T>, rowsOf: (rows: Sym) => number): T {
  return isPerReplay(value) ? value.of(rowsOf(value.rows)) : value
}

/** The value with as many rows as there may be. */
export function most<T extends object | number>(value: Bindable<T>): T {
  return bound(value, ({ max }) => max)
}
