import { mapOperands } from "../ir/operands.js"
import type { FusedKind, KernelKind } from "../ir/operations.js"
import {
  type Node,
  type NodeOf,
  producer,
  type Roots,
  rolesOf,
  topologicalOrder,
  type Value,
  withOperands,
} from "../ir/value.js"

/**
 * Who reads each value, once per operand, in the order of the graph: the readers as they were before this pass, and the
 * kind of root where the graph ends.
 */
export type Readers = ReadonlyMap<Value, readonly (Node | "output" | "effect")[]>

/**
 * What a pass makes of a node, whose operands are rewritten already: values to be computed otherwise, which only the
 * replacement or roots may have read if they came before; or the first reason why not, where it might have been; or null
 * where the node is none of its business.
 */
export type Rule = (node: Node, readers: Readers) => ReadonlyMap<Value, Value> | string | null

/** One step of the optimiser. */
export interface Pass {
  readonly name: string
  /** The fused operation that it makes, for the backends that ask for it; null for every backend. */
  readonly makes: FusedKind | null
  /** Called once a run: rules may remember what they did before. */
  readonly rule: () => Rule
}

/** What a pass did at a node of the graph that it was given, or why it did nothing. */
export interface Note {
  readonly pass: string
  readonly node: Node
  /** null where the pass matched. */
  readonly reason: string | null
}

/** True when one operand of one node reads it, and no root. */
export function isPrivate(value: Value, readers: Readers): boolean {
  const all = readers.get(value)!
  return all.length === 1 && typeof all[0] !== "string"
}

/** The node that computes a value, if it is of that kind and nobody else reads the value. */
export function privateProducer<K extends KernelKind>(value: Value, kind: K, readers: Readers): NodeOf<K> | null {
  return isPrivate(value, readers) ? producer(value, kind) : null
}

/** Runs a pass over the graph, operands first. Nodes are immutable: the original graph stays as it was, and runnable. */
export function rewrite({ outputs, effects = [] }: Roots, { name, rule }: Pass): Roots & { readonly notes: Note[] } {
  const order = topologicalOrder([...outputs, ...effects])
  const readers = new Map<Value, (Node | "output" | "effect")[]>()
  for (const node of order) {
    for (const port in node.results) readers.set(node.results[port], [])
    for (const input of node.inputs) readers.get(input)!.push(node)
  }
  for (const value of outputs) readers.get(value)!.push("output")
  for (const value of effects) readers.get(value)!.push("effect")
  const replaced = new Map<Value, Value>()
  const replace = (value: Value, by: Value) => {
    replaced.set(value, by)
    // Rules ask for the readers of rewritten values: they have the readers of what they stand for.
    if (!readers.has(by)) readers.set(by, readers.get(value)!)
  }
  const resolve = (value: Value): Value => {
    let current = value
    for (let next = replaced.get(current); next; next = replaced.get(current)) current = next
    return current
  }
  const notes: Note[] = []
  const apply = rule()
  for (const node of order) {
    const isSame = node.inputs.every((input) => resolve(input) === input)
    const rebuilt = isSame ? node : withOperands(node, mapOperands(rolesOf(node.op), node.operands, resolve))
    if (!isSame) for (const port in node.results) replace(node.results[port], rebuilt.results[port])
    const outcome = apply(rebuilt, readers)
    if (outcome === null) continue
    const isMatch = typeof outcome !== "string"
    notes.push({ pass: name, node, reason: isMatch ? null : outcome })
    if (isMatch) for (const [value, by] of outcome) replace(value, by)
  }
  return { outputs: outputs.map(resolve), effects: [...new Set(effects.map(resolve))], notes }
}
