import type { BinaryFn, ReduceFn, UnaryFn, WeightFormat } from "../backends/ops.js"
import * as build from "../graph/build.js"
import type { DType } from "../tensor/dtype.js"
import type { Quantization } from "../tensor/quantization.js"
import type { Shape } from "../tensor/shape.js"
import { memoryStats, Storage } from "../tensor/storage.js"
import { MxArray } from "./mx_array.js"

export { autoDevice } from "../backends/placement.js"
export { compile, evaluate, setDefaultDevice } from "./transforms.js"

/** A matmul weight as stored: packed words with scales (and biases), or a dense float array. */
export interface Weight {
  /** `[..., N, K]` dense, or packed along K */
  readonly weight: MxArray
  /** `[..., N, K / group_size]` */
  readonly scales?: MxArray
  /** `[..., N, K / group_size]`, affine only */
  readonly biases?: MxArray
  /** null for a dense weight */
  readonly quantization: Quantization | null
}

const record = (...args: Parameters<typeof build.apply>) => new MxArray(build.apply(...args))
const nodes = (...arrays: (MxArray | undefined)[]) => arrays.flatMap((array) => (array ? [array.node] : []))

function weightNodes({ weight, scales, biases, quantization }: Weight, bias?: MxArray) {
  const format: WeightFormat = { quantization, bias: bias !== undefined }
  return { format, operands: nodes(weight, scales, biases, bias) }
}

/** An array with a copy of the host values. */
export const array = MxArray.from

export function zeros(shape: Shape, dtype: DType = "float32"): MxArray {
  return MxArray.of(new Storage("zeros", dtype, shape, null))
}

const unary = (fn: UnaryFn) => (x: MxArray) => record({ kind: "unary", fn }, nodes(x))
const binary = (fn: BinaryFn) => (a: MxArray, b: MxArray) => record({ kind: "binary", fn }, nodes(a, b))
const reduce = (fn: ReduceFn) => (x: MxArray) => record({ kind: "reduce", fn }, nodes(x))

export const negative = unary("neg")
export const abs = unary("abs")
export const exp = unary("exp")
export const log = unary("log")
export const sqrt = unary("sqrt")
export const rsqrt = unary("rsqrt")
export const sigmoid = unary("sigmoid")
export const silu = unary("silu")

export const add = binary("add")
export const subtract = binary("subtract")
export const multiply = binary("multiply")
export const divide = binary("divide")
export const maximum = binary("maximum")
export const minimum = binary("minimum")

/** Over the last axis, which disappears. */
export const sum = reduce("sum")
export const mean = reduce("mean")
export const max = reduce("max")

/** The same elements in row-major order; one dimension may be -1. */
export function reshape(x: MxArray, shape: Shape): MxArray {
  return new MxArray(build.reshape(x.node, shape))
}

/** Elements from `start` below `stop` by `step`, per axis: a view. */
export function slice(x: MxArray, start: Shape, stop: Shape, step?: Shape): MxArray {
  return new MxArray(build.slice(x.node, start, stop, step))
}

export function astype(x: MxArray, dtype: DType): MxArray {
  return x.dtype === dtype ? x : new MxArray(build.copy(x.node, dtype))
}

/**
 * Overwrites a state with an array of its shape and dtype; the result is the state after that. Whatever reads the state
 * itself in the same step (see `MxArray.stateOf`) sees it as it was before.
 */
export function assign(state: Storage, x: MxArray): MxArray {
  return record({ kind: "assign" }, [build.state(state), x.node])
}

/** Over the last axis, in float32. */
export function softmax(x: MxArray): MxArray {
  return record({ kind: "softmax" }, nodes(x))
}

/** Index of the largest element of the last axis, uint32; the lowest of equals. */
export function argmax(x: MxArray): MxArray {
  return record({ kind: "argmax" }, nodes(x))
}

/** Indices of the `k` largest elements of the last axis in descending order, uint32; the lower index first among equals. */
export function topK(x: MxArray, k: number): MxArray {
  return record({ kind: "top_k", k }, nodes(x))
}

/** Elements of the last axis at `indices` (uint32). */
export function takeAlongAxis(x: MxArray, indices: MxArray): MxArray {
  return record({ kind: "take_along_axis" }, nodes(x, indices))
}

/** Rows of a `[vocab, n]` weight at `ids` `[L]` (uint32), as float32 `[L, n]`. */
export function embedding(ids: MxArray, weight: Weight): MxArray {
  const { format, operands } = weightNodes(weight)
  return record({ kind: "embedding", format }, [ids.node, ...operands])
}

/** `x W^T + bias`: x `[L, K]`, weight `[N, K]`, bias `[N]` -> `[L, N]`. */
export function matmul(x: MxArray, weight: Weight, bias?: MxArray): MxArray {
  const { format, operands } = weightNodes(weight, bias)
  return record({ kind: "matmul", format, residual: false }, [x.node, ...operands])
}

/** Each row through its chosen experts: x `[L, K]` or `[L, k, K]`, ids `[L, k]`, weight `[E, N, K]` -> `[L, k, N]`. */
export function gatherMatmul(x: MxArray, ids: MxArray, weight: Weight, bias?: MxArray): MxArray {
  const { format, operands } = weightNodes(weight, bias)
  return record({ kind: "gather_matmul", format }, [x.node, ids.node, ...operands])
}

/** x `[L, k, N]` summed over k with weights `[L, k]` -> `[L, N]`. */
export function weightedSum(x: MxArray, weights: MxArray): MxArray {
  return record({ kind: "weighted_sum" }, nodes(x, weights))
}

export const random = {
  /**
   * One index per row of `logits` `[L, n]`, drawn from softmax(logits / temperature) by inverse CDF at `uniform` `[L]`
   * in [0, 1); `temperature` `[1]`.
   */
  categorical(logits: MxArray, temperature: MxArray, uniform: MxArray): MxArray {
    return record({ kind: "categorical" }, nodes(logits, temperature, uniform))
  },
}

export interface AttentionOptions {
  /** Multiplies the dot products: 1 / sqrt(head_dim) usually. */
  readonly scale: number
  /** Keys seen before and including the query's own position; null for all. */
  readonly window: number | null
  /** `[num_attention_heads]`: a logit per head that joins the softmax denominator and no value. */
  readonly sinks?: MxArray
  /** `[L]` uint32: the sequence of each row, when keys and values have an axis of sequences in front. */
  readonly sequences?: MxArray
}

export const fast = {
  /** `x / sqrt(mean(x^2) + eps) * weight` over the last axis (Zhang and Sennrich, 2019). */
  rmsNorm(x: MxArray, weight: MxArray, eps: number): MxArray {
    return record({ kind: "rms_norm", eps }, nodes(x, weight))
  },

  /** Rotary embedding of the two halves of each head: x `[L, heads, head_dim]`, positions `[L]`, invFreq `[head_dim / 2]`. */
  rope(x: MxArray, positions: MxArray, invFreq: MxArray, scale: number): MxArray {
    return record({ kind: "rope", scale }, nodes(x, positions, invFreq))
  },

  /**
   * Writes rows x `[L, heads, head_dim]` into a cache state `[capacity, heads, head_dim]` at slots `positions % capacity`,
   * in place, rounded to the cache's dtype; the result is the cache after the write. With `sequences` `[L]` (uint32), the
   * cache is `[S, capacity, heads, head_dim]` and each row goes to its sequence.
   */
  kvAppend(cache: Storage, x: MxArray, positions: MxArray, sequences?: MxArray): MxArray {
    const op = { kind: "kv_append", sequences: sequences !== undefined } as const
    return record(op, [build.state(cache), ...nodes(x, positions, sequences)])
  },

  /**
   * Causal attention over a KV cache with grouped heads: q `[L, num_attention_heads, head_dim]`, keys and values
   * `[capacity, num_key_value_heads, head_dim]` where position p sits in slot `p % capacity`, positions `[L]`.
   */
  attention(q: MxArray, keys: MxArray, values: MxArray, positions: MxArray, options: AttentionOptions): MxArray {
    const { scale, window, sinks, sequences } = options
    const has = { sinks: sinks !== undefined, sequences: sequences !== undefined }
    return record({ kind: "attention", scale, window, ...has }, nodes(q, keys, values, positions, sinks, sequences))
  },

  /**
   * gpt-oss's activation: `min(gate, limit) * sigmoid(alpha * min(gate, limit)) * (clamp(up, -limit, limit) + 1)`
   * (openai/gpt-oss, gpt_oss/torch/model.py).
   */
  swiglu(gate: MxArray, up: MxArray, alpha: number, limit: number): MxArray {
    return record({ kind: "swiglu", alpha, limit }, nodes(gate, up))
  },
}

export const memory = { stats: memoryStats }
