import type { WeightFormat } from "../backends/ops.js"
import { weightRoles } from "../backends/ops.js"
import type { DType } from "../tensor/dtype.js"
import { itemSize } from "../tensor/dtype.js"
import { packedRowBytes } from "../tensor/quantization.js"
import { formatShape, type Shape, sameShape, sizeOf } from "../tensor/shape.js"
import type { Storage } from "../tensor/storage.js"
import { GraphError, type Op, type OpKind, type Value } from "./ir.js"

interface Inferred {
  readonly shape: Shape
  readonly dtype: DType
}

/** Kinds whose shape or dtype does not follow from their inputs: each has a function of its own here. */
type Unruled = "input" | "reshape" | "slice" | "bitcast" | "copy"

type Infer<K extends OpKind> = (op: Extract<Op, { kind: K }>, inputs: readonly Value[]) => Inferred

/** A graph node whose shape follows from its operation and inputs. @throws GraphError when they do not fit. */
export function apply(op: Exclude<Op, { kind: Unruled }>, inputs: readonly Value[]): Value {
  const { shape, dtype } = (RULES[op.kind] as Infer<OpKind>)(op, inputs)
  return { op, inputs, shape, dtype }
}

/** An immutable array: weights and other arrays whose value is known. */
export function constant(storage: Storage): Value {
  return apply({ kind: "constant", storage }, [])
}

/** Memory that lives from replay to replay and is updated in place, such as a KV cache. */
export function state(storage: Storage): Value {
  return apply({ kind: "state", storage }, [])
}

/** A field of the step buffer, fed at each replay. */
export function input(name: string, shape: Shape, dtype: DType): Value {
  return { op: { kind: "input", name }, inputs: [], shape, dtype }
}

/** The same elements in row-major order under another shape; one dimension may be -1. */
export function reshape(x: Value, shape: Shape): Value {
  const known = shape.filter((dim) => dim !== -1)
  const wildcard = shape.length - known.length
  const resolved = wildcard === 1 ? shape.map((dim) => (dim === -1 ? sizeOf(x.shape) / sizeOf(known) : dim)) : shape
  if (wildcard > 1 || resolved.some((dim) => !Number.isInteger(dim)) || sizeOf(resolved) !== sizeOf(x.shape)) {
    throw new GraphError(`reshape: ${formatShape(x.shape)} does not fold into ${formatShape(shape)}`)
  }
  return { op: { kind: "reshape" }, inputs: [x], shape: resolved, dtype: x.dtype }
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
  return { op: { kind: "slice", start, step }, inputs: [x], shape, dtype: x.dtype }
}

/** The same bits read as another dtype of the same size: a view, not a copy. */
export function bitcast(x: Value, dtype: DType): Value {
  if (itemSize(dtype) !== itemSize(x.dtype)) {
    throw new GraphError(`bitcast: ${x.dtype} has ${itemSize(x.dtype)} bytes, ${dtype} has ${itemSize(dtype)}`)
  }
  return { op: { kind: "bitcast" }, inputs: [x], shape: x.shape, dtype }
}

/** A contiguous copy, converted to `dtype`. */
export function copy(x: Value, dtype: DType = x.dtype): Value {
  return { op: { kind: "copy" }, inputs: [x], shape: x.shape, dtype }
}

/** NumPy's broadcasting of two shapes. */
export function broadcastShapes(a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[axis - rank + a.length] ?? 1
    const y = b[axis - rank + b.length] ?? 1
    if (x !== y && x !== 1 && y !== 1) {
      throw new GraphError(`shapes ${formatShape(a)} and ${formatShape(b)} do not broadcast`)
    }
    return Math.max(x, y)
  })
}

function expect(kind: OpKind, what: string, value: Value, shape: Shape, dtype?: DType): void {
  const fits =
    shape.length === value.shape.length && shape.every((dim, axis) => dim === -1 || dim === value.shape[axis])
  if (!fits || (dtype && value.dtype !== dtype)) {
    const wanted = `${dtype ?? "any dtype"} [${shape.map((dim) => (dim === -1 ? "?" : dim)).join(", ")}]`
    throw new GraphError(`${kind}: ${what} must be ${wanted}, found ${value.dtype} ${formatShape(value.shape)}`)
  }
}

const last = (shape: Shape): number => shape[shape.length - 1]

/** Checks the weight operands from `at` on against rows `[...lead, N]` of `K` elements; returns N and where they end. */
function weightRows(kind: OpKind, format: WeightFormat, inputs: readonly Value[], at: number, lead: Shape, K: number) {
  const { quantization } = format
  const weight = inputs[at]
  if (!weight || weight.shape.length !== lead.length + 2) {
    throw new GraphError(
      `${kind}: weight must have ${lead.length + 2} axes, found ${weight ? formatShape(weight.shape) : "none"}`,
    )
  }
  const N = weight.shape[lead.length]
  if (!quantization) {
    expect(kind, "weight", weight, [...lead, N, K])
  } else {
    const words = packedRowBytes(quantization, K) / itemSize(weight.dtype)
    expect(kind, "packed weight", weight, [...lead, N, words])
  }
  const roles = weightRoles(format)
  roles.forEach((role, i) => {
    if (role === "bias") expect(kind, role, inputs[at + i], [...lead, N])
    else if (role !== "weight") expect(kind, role, inputs[at + i], [...lead, N, K / quantization!.group_size])
  })
  return { N, end: at + roles.length }
}

/** `dims` of a cache: `[capacity, heads, headDim]` after the axis of sequences, if there is one. */
function cacheDims(kind: OpKind, cache: Value, sequences = false): Shape {
  expect(kind, "cache", cache, sequences ? [-1, -1, -1, -1] : [-1, -1, -1])
  if (cache.dtype !== "float32" && cache.dtype !== "float16") {
    throw new GraphError(`${kind}: caches are float32 or float16, found ${cache.dtype}`)
  }
  return cache.shape.slice(-3)
}

/** Checks the operands that attention takes after the cache: positions, then sinks and sequences if there are any. */
function attentionTail(
  op: { kind: OpKind; sinks: boolean; sequences?: boolean },
  L: number,
  heads: number,
  positions: Value,
  tail: readonly Value[],
): void {
  const [sinks, sequences] = op.sinks ? tail : [null, tail[0]]
  expect(op.kind, "positions", positions, [L], "uint32")
  if (sinks) expect(op.kind, "sinks", sinks, [heads])
  if (op.sequences) expect(op.kind, "sequences", sequences, [L], "uint32")
}

/** @throws GraphError unless `heads` query heads share the key-value heads of the caches evenly */
function checkCaches(op: { kind: OpKind; sequences?: boolean }, keys: Value, values: Value, heads: number): void {
  const [, kvHeads] = cacheDims(op.kind, keys, op.sequences)
  expect(op.kind, "values", values, keys.shape, keys.dtype)
  if (heads % kvHeads !== 0) {
    throw new GraphError(`${op.kind}: ${heads} query heads do not share ${kvHeads} key-value heads evenly`)
  }
}

function expectState(kind: OpKind, what: string, value: Value): void {
  if (value.op.kind !== "state") throw new GraphError(`${kind}: the ${what} must be a state, found ${value.op.kind}`)
}

const elementwise = (_: Op, [x]: readonly Value[]): Inferred => ({ shape: x.shape, dtype: x.dtype })

function gatherSwiglu(
  op: Extract<Op, { kind: "gather_swiglu" | "norm_gather_swiglu" }>,
  x: Value,
  operands: readonly Value[],
): Inferred {
  const [ids, weight] = operands
  expect(op.kind, "x", x, [-1, -1], "float32")
  expect(op.kind, "ids", ids, [x.shape[0], -1], "uint32")
  const gate = weightRows(op.kind, op.gate, operands, 1, [weight.shape[0]], x.shape[1])
  const up = weightRows(op.kind, op.up, operands, gate.end, [weight.shape[0]], x.shape[1])
  if (up.N !== gate.N) throw new GraphError(`${op.kind}: gate has ${gate.N} rows, up has ${up.N}`)
  return { shape: [...ids.shape, gate.N], dtype: "float32" }
}

const RULES: { [K in Exclude<OpKind, Unruled>]: Infer<K> } = {
  constant: (op) => op.storage,
  state: (op) => op.storage,
  unary: elementwise,
  softmax: elementwise,
  binary: (_, [a, b]) => {
    if (a.dtype !== b.dtype) throw new GraphError(`binary: dtypes differ, ${a.dtype} and ${b.dtype}`)
    return { shape: broadcastShapes(a.shape, b.shape), dtype: a.dtype }
  },
  assign: (op, [target, x]) => {
    expectState(op.kind, "target", target)
    expect(op.kind, "x", x, target.shape, target.dtype)
    return target
  },
  reduce: (_, [x]) => ({ shape: x.shape.slice(0, -1), dtype: x.dtype }),
  argmax: (_, [x]) => ({ shape: x.shape.slice(0, -1), dtype: "uint32" }),
  top_k: (op, [x]) => {
    if (op.k < 1 || op.k > last(x.shape)) throw new GraphError(`top_k: k = ${op.k} of ${last(x.shape)}`)
    return { shape: [...x.shape.slice(0, -1), op.k], dtype: "uint32" }
  },
  take_along_axis: (op, [x, indices]) => {
    expect(op.kind, "indices", indices, [...x.shape.slice(0, -1), -1], "uint32")
    return { shape: indices.shape, dtype: x.dtype }
  },
  categorical: (op, [logits, temperature, uniform]) => {
    expect(op.kind, "logits", logits, [-1, -1], "float32")
    expect(op.kind, "temperature", temperature, [1], "float32")
    expect(op.kind, "uniform", uniform, [logits.shape[0]], "float32")
    return { shape: [logits.shape[0]], dtype: "uint32" }
  },
  embedding: (op, inputs) => {
    const [ids, weight] = inputs
    expect(op.kind, "ids", ids, [-1], "uint32")
    const { quantization } = op.format
    const n = quantization ? (last(weight.shape) * itemSize(weight.dtype) * 8) / quantization.bits : last(weight.shape)
    weightRows(op.kind, op.format, inputs, 1, [], n)
    return { shape: [ids.shape[0], n], dtype: "float32" }
  },
  matmul: (op, inputs) => {
    const [x] = inputs
    expect(op.kind, "x", x, [-1, -1], "float32")
    const { N, end } = weightRows(op.kind, op.format, inputs, 1, [], x.shape[1])
    const shape = [x.shape[0], N]
    if (op.residual) expect(op.kind, "residual", inputs[end], shape, "float32")
    return { shape, dtype: "float32" }
  },
  gather_matmul: (op, inputs) => {
    const [x, ids, weight] = inputs
    expect(op.kind, "ids", ids, [x.shape[0], -1], "uint32")
    if (x.shape.length !== 2) expect(op.kind, "x", x, [x.shape[0], ids.shape[1], -1], "float32")
    const { N } = weightRows(op.kind, op.format, inputs, 2, [weight.shape[0]], last(x.shape))
    return { shape: [...ids.shape, N], dtype: "float32" }
  },
  gather_swiglu: (op, [x, ...operands]) => gatherSwiglu(op, x, operands),
  norm_gather_swiglu: (op, [x, weight, ...operands]) => {
    expect(op.kind, "norm weight", weight, [last(x.shape)])
    return gatherSwiglu(op, x, operands)
  },
  gather_matmul_sum: (op, inputs) => {
    const [x, ids, weight] = inputs
    expect(op.kind, "x", x, [-1, -1, -1], "float32")
    const [L, k, K] = x.shape
    expect(op.kind, "ids", ids, [L, k], "uint32")
    const { N, end } = weightRows(op.kind, op.format, inputs, 2, [weight.shape[0]], K)
    expect(op.kind, "weights", inputs[end], [L, k], "float32")
    expect(op.kind, "residual", inputs[end + 1], [L, N], "float32")
    return { shape: [L, N], dtype: "float32" }
  },
  norm_matmul: (op, inputs) => {
    const [x, weight] = inputs
    expect(op.kind, "x", x, [-1, -1], "float32")
    const [L, K] = x.shape
    expect(op.kind, "norm weight", weight, [K])
    let [width, at] = [0, 2]
    for (const format of op.formats) {
      const { N, end } = weightRows(op.kind, format, inputs, at, [], K)
      width += N
      at = end
    }
    return { shape: [L, width], dtype: "float32" }
  },
  route: (op, inputs) => {
    const [x, weight] = inputs
    expect(op.kind, "x", x, [-1, -1], "float32")
    const [L, K] = x.shape
    expect(op.kind, "norm weight", weight, [K])
    const { N } = weightRows(op.kind, op.format, inputs, 2, [], K)
    if (op.k < 1 || op.k > N) throw new GraphError(`route: k = ${op.k} of ${N}`)
    return { shape: [2, L, op.k], dtype: "uint32" }
  },
  rms_norm: (op, [x, weight]) => {
    expect(op.kind, "weight", weight, [last(x.shape)])
    return { shape: x.shape, dtype: "float32" }
  },
  rope: (op, [x, positions, invFreq]) => {
    expect(op.kind, "x", x, [-1, -1, -1], "float32")
    expect(op.kind, "positions", positions, [x.shape[0]], "uint32")
    expect(op.kind, "inv_freq", invFreq, [last(x.shape) / 2], "float32")
    return x
  },
  kv_append: (op, [cache, x, positions, sequences]) => {
    expectState(op.kind, "cache", cache)
    const [capacity, heads, headDim] = cacheDims(op.kind, cache, op.sequences)
    expect(op.kind, "x", x, [-1, heads, headDim], "float32")
    expect(op.kind, "positions", positions, [x.shape[0]], "uint32")
    if (op.sequences) expect(op.kind, "sequences", sequences, [x.shape[0]], "uint32")
    else if (x.shape[0] > capacity) throw new GraphError(`kv_append: ${x.shape[0]} rows into ${capacity} slots`)
    return cache
  },
  attention: (op, [q, keys, values, positions, ...tail]) => {
    expect(op.kind, "q", q, [-1, -1, last(keys.shape)], "float32")
    const [L, heads] = q.shape
    checkCaches(op, keys, values, heads)
    attentionTail(op, L, heads, positions, tail)
    return q
  },
  rope_attention: (op, [qkv, positions, invFreq, keys, values, ...tail]) => {
    expectState(op.kind, "keys", keys)
    expectState(op.kind, "values", values)
    const [capacity, kvHeads, headDim] = cacheDims(op.kind, keys, op.sequences)
    expect(op.kind, "qkv", qkv, [-1, -1], "float32")
    const [L, width] = qkv.shape
    const heads = width / headDim - 2 * kvHeads
    if (!Number.isInteger(heads) || heads < 1) {
      throw new GraphError(
        `rope_attention: rows of ${width} are not heads of ${headDim} with ${kvHeads} key-value heads`,
      )
    }
    expect(op.kind, "inv_freq", invFreq, [headDim / 2], "float32")
    checkCaches(op, keys, values, heads)
    attentionTail(op, L, heads, positions, tail)
    if (!op.sequences && L > capacity) throw new GraphError(`rope_attention: ${L} rows into ${capacity} slots`)
    return { shape: [L, heads, headDim], dtype: "float32" }
  },
  swiglu: (op, [gate, up]) => {
    if (!sameShape(gate.shape, up.shape)) expect(op.kind, "up", up, gate.shape, gate.dtype)
    return gate
  },
  weighted_sum: (op, [x, weights]) => {
    expect(op.kind, "x", x, [-1, -1, -1], "float32")
    expect(op.kind, "weights", weights, x.shape.slice(0, 2), "float32")
    return { shape: [x.shape[0], x.shape[2]], dtype: "float32" }
  },
}
