import { topologicalOrder, type Value } from "./ir.js"

/** How often each value is read, counting the graph's outputs. */
export type Uses = ReadonlyMap<Value, number>

/** Returns a replacement that computes the same value, or null to leave it. `value`'s inputs are already rewritten. */
export type Rule = (value: Value, uses: Uses) => Value | null

/** One pass over the graph, bottom-up. Values are immutable: the original graph stays as it was, and runnable. */
export function rewrite(outputs: readonly Value[], rule: Rule): Value[] {
  const order = topologicalOrder(outputs)
  const uses = new Map<Value, number>()
  const replaced = new Map<Value, Value>()
  const count = (value: Value, by: number) => uses.set(value, (uses.get(value) ?? 0) + by)
  for (const value of [...order.flatMap((v) => v.inputs), ...outputs]) count(value, 1)
  for (const value of order) {
    const inputs = value.inputs.map((input) => replaced.get(input)!)
    const rebuilt = inputs.every((input, i) => input === value.inputs[i]) ? value : { ...value, inputs }
    // Rules ask for the uses of rewritten values: they have the uses of what they stand for.
    if (rebuilt !== value) uses.set(rebuilt, uses.get(value)!)
    const replacement = rule(rebuilt, uses) ?? rebuilt
    if (replacement !== rebuilt) uses.set(replacement, uses.get(value)!)
    replaced.set(value, replacement)
  }
  return outputs.map((output) => replaced.get(output)!)
}
