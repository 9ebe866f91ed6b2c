import { range } from "../../wgsl/range.js"

/** The turns that a group's tasks take one after the other, and what is done in each, as WGSL. */
export interface Turns {
  /** Turns of a task, and tasks. */
  readonly each: number
  readonly tasks: number
  /** Their product, which compilers do not know. */
  readonly total: string
  /** Turns that loads run ahead of their use. */
  readonly ahead: number
  /** What is loaded for a turn. */
  readonly names: readonly string[]
  /** Loads the next turn not loaded yet, into these names with a prefix. */
  load(prefix: string): string
  /** Multiplies what was loaded. */
  readonly multiply: string
  /** Ends a task, if `turn` says so. */
  readonly next: string
}

/** The prefix of what was loaded `depth` turns ahead, or, of unrolled turns, in every `ahead`th turn from there on. */
export const turnPrefix = (depth: number) => `t${depth}_`

const taken = ({ names }: Turns, depth: number) =>
  names.map((name) => `let ${name} = ${turnPrefix(depth)}${name};`).join(" ")

/** A loop as short as can be, in which what was loaded moves up by one turn. */
export function rolledTurns(of: Turns): string {
  const { total, ahead, names, load, multiply, tasks, next } = of
  const up = (depth: number) =>
    names.map((name) => `${turnPrefix(depth)}${name} = ${turnPrefix(depth + 1)}${name};`).join(" ")
  return `for (var i = ${total}; i > 0u; i--) {
  ${taken(of, 0)}
  ${range(ahead - 1)
    .map(up)
    .join("\n  ")}
  if (i > ${ahead}u) ${load(turnPrefix(ahead - 1))}
  ${multiply}
  turn += 1u;
  ${tasks > 1 ? next : ""}
}`
}

/**
 * A loop over as many turns at a time as loads run ahead: nothing that was loaded moves, and it makes room before the next is
 * loaded. For what is computed in hardly less time than it takes to come.
 */
export function unrolledTurns(of: Turns): string {
  const { each, total, ahead, load, multiply, tasks, next } = of
  const mayEnd = (depth: number) => tasks > 1 && (each % ahead !== 0 || depth === ahead - 1)
  const mayStop = (depth: number) => (each * tasks) % ahead !== 0 && depth < ahead - 1
  const turn = (depth: number) => `{
  ${taken(of, depth)}
  ${multiply}
}
if (i > ${ahead}u) ${load(turnPrefix(depth))}
i -= 1u;
turn += 1u;
${mayEnd(depth) ? next : ""}
${mayStop(depth) ? "if (i == 0u) { break; }" : ""}`
  return `for (var i = ${total}; i > 0u;) {
${range(ahead).map(turn).join("\n")}
}`
}
