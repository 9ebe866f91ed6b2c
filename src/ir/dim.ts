import type { Shape } from "../tensor/shape.js"
import { GraphError } from "./graph_error.js"

/**
 * A number of rows that a program is told at each replay, such as the tokens of a step: one program serves every number
 * up to the largest. It stands on leading axes alone, so that strides do not depend on it.
 */
export interface Sym {
  readonly name: string
  readonly max: number
}

export type Dim = number | Sym

/** Dimensions, outermost first; symbols stand in front. */
export type Dims = readonly Dim[]

/** A dimension that must be known. @throws GraphError naming `what` */
export function fixed(dim: Dim, what: string): number {
  if (typeof dim === "number") return dim
  throw new GraphError(`${what} must be known when the graph is built, found the symbol ${dim.name}`)
}

/** The most that a dimension may be. */
export function upper(dim: Dim): number {
  return typeof dim === "number" ? dim : dim.max
}

/** The largest shape that dimensions may stand for. */
export function largest(dims: Dims): Shape {
  return dims.map(upper)
}

export function sameDims(a: Dims, b: Dims): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis])
}

/** As {@link formatDims}; and where that says the same of other dimensions, why they are others. */
export function formatOther(dims: Dims, than: Dims): string {
  const text = formatDims(dims)
  return text === formatDims(than) && !sameDims(dims, than) ? `${text} of another symbol` : text
}

/** `[rows, 3]` for messages. */
export function formatDims(dims: Dims): string {
  return `[${dims.map((dim) => (typeof dim === "number" ? dim : dim.name)).join(", ")}]`
}
