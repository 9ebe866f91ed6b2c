import type { DType } from "../tensor/dtype.js"
import type { Shape } from "../tensor/shape.js"
import { type Dims, formatDims } from "./dim.js"
import { GraphError } from "./graph_error.js"
import type { Storage } from "../tensor/storage.js"
import type { Role } from "./op_spec.js"
import {
  type KernelKind,
  type KernelOf,
  type KernelOp,
  OPERATIONS,
  type OperandsOf,
  type ResultsOf,
} from "./operations.js"
import { type AnyOperands, mapOperands } from "./operands.js"
import type { Type } from "./type.js"

/** Where a graph begins. */
export type LeafOp =
  | { readonly kind: "constant"; readonly storage: Storage }
  | { readonly kind: "state"; readonly storage: Storage } // persists between replays, updated in place
  | { readonly kind: "input"; readonly name: string } // a field of the step buffer

/** Another look at the same memory, which costs nothing at run time. Its operand is `x`. */
export type ViewOp =
  | { readonly kind: "reshape" } // of contiguous x
  | { readonly kind: "slice"; readonly start: Shape; readonly step: Shape } // the stop follows from the shape

export type Op = KernelOp | LeafOp | ViewOp
export type OpKind = Op["kind"]

/** One operation of the graph. Immutable; identity is the node. */
export interface Node {
  readonly op: Op
  readonly operands: AnyOperands<Value>
  /** The operands in a row. */
  readonly inputs: readonly Value[]
  /** By name, in the order of the operation's description; leaves and views have one, `y`. */
  readonly results: Readonly<Record<string, Value>>
}

/** One result of a node. Identity is the value. */
export interface Value extends Type {
  readonly node: Node
  /** Which of the node's results. */
  readonly port: string
}

/** What a graph is computed for: values to be read, and values that write states. */
export interface Roots {
  readonly outputs: readonly Value[]
  readonly effects?: readonly Value[]
}

/** A node of a kind, its operands and results by name. */
export type NodeOf<K extends KernelKind> = Node & {
  readonly op: KernelOf<K>
  readonly operands: OperandsOf<K, Value>
  readonly results: ResultsOf<K, Value>
}

const VIEW_ROLES = { x: "value" } as const
const NO_ROLES = {}

/** What each operand of an operation is. */
export function rolesOf({ kind }: Op): Readonly<Record<string, Role>> {
  if (kind in OPERATIONS) return OPERATIONS[kind as KernelKind].operands
  return kind === "constant" || kind === "state" || kind === "input" ? NO_ROLES : VIEW_ROLES
}

export function makeNode(op: Op, operands: AnyOperands<Value>, types: Readonly<Record<string, Type>>): Node {
  const results: Record<string, Value> = {}
  const inputs: Value[] = []
  mapOperands(rolesOf(op), operands, (operand) => inputs.push(operand))
  const node: Node = { op, operands, inputs, results }
  for (const [port, { shape, dtype }] of Object.entries(types)) {
    if (shape.some((dim, axis) => axis > 0 && typeof dim !== "number")) {
      throw new GraphError(`${op.kind}: a symbol stands on the leading axis only, found ${formatDims(shape)}`)
    }
    results[port] = { node, port, shape, dtype }
  }
  return node
}

/** The same operation on other operands of the same types. */
export function withOperands(node: Node, operands: AnyOperands<Value>): Node {
  return makeNode(node.op, operands, node.results)
}

export function isNode<K extends KernelKind>(node: Node, kind: K): node is NodeOf<K> {
  return node.op.kind === kind
}

/** The node that computes a value, if it is of that kind. */
export function producer<K extends KernelKind>(value: Value, kind: K): NodeOf<K> | null {
  return isNode(value.node, kind) ? value.node : null
}

export function isView({ op }: Node): boolean {
  return op.kind === "reshape" || op.kind === "slice"
}

/** Not a leaf or a view: one that a backend runs. */
export function isKernel(op: Op): op is KernelOp {
  return op.kind in OPERATIONS
}

/** A leaf: see {@link LeafOp}. */
export function leaf(op: LeafOp, shape: Dims, dtype: DType): Value {
  return makeNode(op, {}, { y: { shape, dtype } }).results.y
}

/**
 * Every node that `outputs` depend on, each after its operands' and after those that `also` names for it. Iterative: graphs
 * are deeper than the call stack.
 */
export function topologicalOrder(
  outputs: readonly Value[],
  also: ReadonlyMap<Node, readonly Node[]> = new Map(),
): Node[] {
  const order: Node[] = []
  const state = new Map<Node, "open" | "done">()
  const stack = outputs.map(({ node }) => node).reverse()
  while (stack.length > 0) {
    const node = stack[stack.length - 1]
    if (state.has(node)) {
      stack.pop()
      if (state.get(node) === "open") {
        state.set(node, "done")
        order.push(node)
      }
      continue
    }
    state.set(node, "open")
    const before = [...(also.get(node) ?? []), ...node.inputs.map((input) => input.node)]
    for (let i = before.length - 1; i >= 0; i--) if (!state.has(before[i])) stack.push(before[i])
  }
  return order
}
