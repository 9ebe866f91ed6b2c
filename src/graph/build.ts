import {
  type KernelKind,
  type KernelOf,
  type KernelOp,
  OPERATIONS,
  type OperandsOf,
  type ResultsOf,
} from "../ir/operations.js"
import type { OpSpec } from "../ir/op_spec.js"
import type { AnyOperands } from "../ir/operands.js"
import { GraphError } from "../ir/type.js"
import { leaf, makeNode, type Value } from "../ir/value.js"
import type { DType } from "../tensor/dtype.js"
import { formatShape, type Shape, sizeOf } from "../tensor/shape.js"
import type { Storage } from "../tensor/storage.js"

/** Records an operation: its results, by name. @throws GraphError when the operands do not fit it */
export function apply<K extends KernelKind>(op: KernelOf<K>, operands: OperandsOf<K, Value>): ResultsOf<K, Value> {
  const { operands: roles, infer } = OPERATIONS[op.kind] as unknown as OpSpec<unknown, AnyOperands<Value>, string>
  const given = operands as AnyOperands<Value>
  for (const [name, role] of Object.entries(roles as Readonly<Record<string, string>>)) {
    if (given[name] === undefined && role !== "optional") throw new GraphError(`${op.kind}: ${name} is missing`)
    if (role === "state") expectState(op.kind, name, given[name] as Value)
  }
  return makeNode(op as KernelOp, given, infer(op, given)).results as ResultsOf<K, Value>
}

function expectState(kind: string, name: string, { node }: Value): void {
  if (node.op.kind !== "state") throw new GraphError(`${kind}: ${name} must be a state, found ${node.op.kind}`)
}

/** An immutable array: weights and other arrays whose value is known. */
export function constant(storage: Storage): Value {
  return leaf({ kind: "constant", storage }, storage.shape, storage.dtype)
}

/** Memory that lives from replay to replay and is updated in place, such as a KV cache. */
export function state(storage: Storage): Value {
  return leaf({ kind: "state", storage }, storage.shape, storage.dtype)
}

/** A field of the step buffer, fed at each replay. */
export function input(name: string, shape: Shape, dtype: DType): Value {
  return leaf({ kind: "input", name }, shape, dtype)
}

/** The same elements in row-major order under another shape; one dimension may be -1. */
export function reshape(x: Value, shape: Shape): Value {
  const known = shape.filter((dim) => dim !== -1)
  const wildcard = shape.length - known.length
  const resolved = wildcard === 1 ? shape.map((dim) => (dim === -1 ? sizeOf(x.shape) / sizeOf(known) : dim)) : shape
  if (wildcard > 1 || resolved.some((dim) => !Number.isInteger(dim)) || sizeOf(resolved) !== sizeOf(x.shape)) {
    throw new GraphError(`reshape: ${formatShape(x.shape)} does not fold into ${formatShape(shape)}`)
  }
  return makeNode({ kind: "reshape" }, { x }, { y: { shape: resolved, dtype: x.dtype } }).results.y
}

/** Elements `start[axis] + i * step[axis]` below `stop[axis]`: a view, not a copy. */
export function slice(x: Value, start: Shape, stop: Shape, step: Shape = x.shape.map(() => 1)): Value {
  const shape = x.shape.map((_, axis) => Math.ceil((stop[axis] - start[axis]) / step[axis]))
  const fits = x.shape.every(
    (dim, axis) => start[axis] >= 0 && step[axis] >= 1 && stop[axis] <= dim && start[axis] < stop[axis],
  )
  if (!fits || start.length !== x.shape.length) {
    throw new GraphError(`slice: [${start}] to [${stop}] step [${step}] is outside ${formatShape(x.shape)}`)
  }
  return makeNode({ kind: "slice", start, step }, { x }, { y: { shape, dtype: x.dtype } }).results.y
}

/** A contiguous copy, converted to `dtype`. */
export function copy(x: Value, dtype: DType = x.dtype): Value {
  return apply({ kind: "copy", dtype }, { x }).y
}
