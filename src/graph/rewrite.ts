import { topologicalOrder, type Value } from "./ir.js"

/** What a graph is computed for: values to be read, and values that write states. */
export interface Roots {
  readonly outputs: readonly Value[]
  readonly effects: readonly Value[]
}

/**
 * Who reads each value, once per operand, in the order of the graph: the readers as they were before this pass, and the
 * kind of root where the graph ends.
 */
export type Readers = ReadonlyMap<Value, readonly (Value | "output" | "effect")[]>

/** Returns a replacement that computes the same value, or null to leave it. `value`'s inputs are already rewritten. */
export type Rule = (value: Value, readers: Readers) => Value | null

/** One step of the optimiser: the same roots, computed otherwise. */
export type Pass = (roots: Roots) => Roots

/** True when one operand of one value reads it, and no root. */
export function isPrivate(value: Value, readers: Readers): boolean {
  const all = readers.get(value)!
  return all.length === 1 && typeof all[0] !== "string"
}

/** Applies a rule over the graph, bottom-up. Values are immutable: the original graph stays as it was, and runnable. */
export function rewrite({ outputs, effects }: Roots, rule: Rule): Roots {
  const order = topologicalOrder([...outputs, ...effects])
  const readers = new Map<Value, (Value | "output" | "effect")[]>(order.map((value) => [value, []]))
  const replaced = new Map<Value, Value>()
  for (const value of order) for (const input of value.inputs) readers.get(input)!.push(value)
  for (const value of outputs) readers.get(value)!.push("output")
  for (const value of effects) readers.get(value)!.push("effect")
  for (const value of order) {
    const inputs = value.inputs.map((input) => replaced.get(input)!)
    const rebuilt = inputs.every((input, i) => input === value.inputs[i]) ? value : { ...value, inputs }
    // Rules ask for the readers of rewritten values: they have the readers of what they stand for.
    if (rebuilt !== value) readers.set(rebuilt, readers.get(value)!)
    const replacement = rule(rebuilt, readers) ?? rebuilt
    if (replacement !== rebuilt) readers.set(replacement, readers.get(value)!)
    replaced.set(value, replacement)
  }
  const rewritten = (values: readonly Value[]) => values.map((value) => replaced.get(value)!)
  return { outputs: rewritten(outputs), effects: rewritten(effects) }
}
