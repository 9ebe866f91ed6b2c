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
import { type Dims, fixed, formatDims, formatOther } from "../ir/dim.js"
import { GraphError } from "../ir/graph_error.js"
import { leaf, makeNode, type Value } from "../ir/value.js"
import type { DType } from "../tensor/dtype.js"
import { type Shape, sizeOf } from "../tensor/shape.js"
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
export function input(name: string, shape: Dims, dtype: DType): Value {
  return leaf({ kind: "input", name }, shape, dtype)
}

/** The same elements in row-major order under another shape; one dimension may be -1. A symbol stays in front. */
export function reshape(x: Value, dims: Dims): Value {
  const [rows] = x.shape
  const isSymbolic = typeof rows === "object"
  if (isSymbolic && dims[0] !== rows) {
    throw new GraphError(
      `reshape: ${formatDims(x.shape)} keeps its first dimension, found ${formatOther(dims, x.shape)}`,
    )
  }
  const [from, to] = isSymbolic ? [x.shape.slice(1), dims.slice(1)] : [x.shape, dims]
  const size = sizeOf(from.map((dim) => fixed(dim, "reshape: a dimension")))
  const known = to.filter((dim) => dim !== -1).map((dim) => fixed(dim, "reshape: a dimension"))
  const rest = size / sizeOf(known)
  const resolved = to.map((dim) => (dim === -1 ? rest : dim))
  if (to.length - known.length > 1 || !Number.isInteger(rest) || (known.length === to.length && rest !== 1)) {
    throw new GraphError(`reshape: ${formatDims(x.shape)} does not fold into ${formatDims(dims)}`)
  }
  const shape = isSymbolic ? [rows, ...resolved] : resolved
  return makeNode({ kind: "reshape" }, { x }, { y: { shape, dtype: x.dtype } }).results.y
}

/** Elements `start[axis] + i * step[axis]` below `stop[axis]`: a view, not a copy. Of a symbol's axis it takes all. */
export function slice(x: Value, start: Shape, stop: Dims, step: Shape = x.shape.map(() => 1)): Value {
  const fits = x.shape.every((dim, axis) => {
    const end = stop[axis]
    if (typeof dim !== "number" || typeof end !== "number") return end === dim && start[axis] === 0 && step[axis] === 1
    return start[axis] >= 0 && step[axis] >= 1 && end <= dim && start[axis] < end
  })
  if (!fits || start.length !== x.shape.length) {
    throw new GraphError(`slice: [${start}] to ${formatDims(stop)} step [${step}] is outside ${formatDims(x.shape)}`)
  }
  const shape = stop.map((end, axis) => (typeof end === "number" ? Math.ceil((end - start[axis]) / step[axis]) : end))
  return makeNode({ kind: "slice", start, step }, { x }, { y: { shape, dtype: x.dtype } }).results.y
}

/** A contiguous copy, converted to `dtype`. */
export function copy(x: Value, dtype: DType = x.dtype): Value {
  return apply({ kind: "copy", dtype }, { x }).y
}
