import type { KernelOp } from "../backends/ops.js"
import type { DType } from "../tensor/dtype.js"
import type { Shape } from "../tensor/shape.js"
import type { Storage } from "../tensor/storage.js"

/** What the graph adds to the kernels: leaves, and views that cost nothing at run time. */
export type Op =
  | KernelOp
  | { readonly kind: "constant"; readonly storage: Storage }
  | { readonly kind: "state"; readonly storage: Storage } // persists between replays, updated in place
  | { readonly kind: "input"; readonly name: string } // a field of the step buffer
  | { readonly kind: "reshape" } // x, contiguous
  | { readonly kind: "slice"; readonly start: Shape; readonly step: Shape } // x; the stop follows from the shape
  | { readonly kind: "bitcast" } // x, its bits under another dtype of the same size

export type OpKind = Op["kind"]

/** A node of the graph: one operation and its single result. Immutable; identity is the node. */
export interface Value {
  readonly op: Op
  readonly inputs: readonly Value[]
  readonly shape: Shape
  readonly dtype: DType
}

/** A graph could not be built or compiled: shapes or dtypes that do not fit, named with the operation. */
export class GraphError extends Error {
  override readonly name = "GraphError"
}

/** Views, which cost nothing at run time. */
export function isView({ op }: Value): boolean {
  return op.kind === "reshape" || op.kind === "slice" || op.kind === "bitcast"
}

/**
 * Every value that `outputs` depend on, each after its inputs and after those that `also` names for it. Iterative: graphs
 * are deeper than the call stack.
 */
export function topologicalOrder(
  outputs: readonly Value[],
  also: ReadonlyMap<Value, readonly Value[]> = new Map(),
): Value[] {
  const order: Value[] = []
  const state = new Map<Value, "open" | "done">()
  const stack = [...outputs].reverse()
  while (stack.length > 0) {
    const value = stack[stack.length - 1]
    if (state.has(value)) {
      stack.pop()
      if (state.get(value) === "open") {
        state.set(value, "done")
        order.push(value)
      }
      continue
    }
    state.set(value, "open")
    const before = [...(also.get(value) ?? []), ...value.inputs]
    for (let i = before.length - 1; i >= 0; i--) if (!state.has(before[i])) stack.push(before[i])
  }
  return order
}
