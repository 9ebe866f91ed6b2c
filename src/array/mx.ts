import * as build from "../graph/build.js"
import type { GatedActivation } from "../ir/activation.js"
import type { Dims } from "../ir/dim.js"
import { mapWeight } from "../ir/operands.js"
import type { BinaryFn, UnaryFn } from "../ir/specs/elementwise.js"
import type { ReduceFn } from "../ir/specs/rows.js"
import type { Adjustments, Choices } from "../ir/specs/sampling.js"
import type { WeightOf } from "../ir/type.js"
import type { Value } from "../ir/value.js"
import type { DType } from "../tensor/dtype.js"
import type { Shape } from "../tensor/shape.js"
import { memoryStats, Storage } from "../tensor/storage.js"
import { MxArray } from "./mx_array.js"

export type { GatedActivation } from "../ir/activation.js"
export { autoDevice } from "../backends/placement.js"
export { compile, evaluate, setDefaultDevice } from "./transforms.js"

/** A matmul weight as stored: see {@link WeightOf}. Its bias is given to the product. */
export type Weight = Omit<WeightOf<MxArray>, "bias">

const wrap = (value: Value) => new MxArray(value)

function weightNodes(weight: Weight, bias?: MxArray): WeightOf<Value> {
  return mapWeight<MxArray, Value>({ ...weight, bias }, ({ value }) => value)
}

/** An array with a copy of the host values. */
export const array = MxArray.from

export function zeros(shape: Shape, dtype: DType = "float32"): MxArray {
  return MxArray.of(new Storage("zeros", dtype, shape, null))
}

const unary = (fn: UnaryFn) => (x: MxArray) => wrap(build.apply({ kind: "unary", fn }, { x: x.value }).y)
const binary = (fn: BinaryFn) => (a: MxArray, b: MxArray) =>
  wrap(build.apply({ kind: "binary", fn }, { a: a.value, b: b.value }).y)
const reduce = (fn: ReduceFn) => (x: MxArray) => wrap(build.apply({ kind: "reduce", fn }, { x: x.value }).y)

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
export function reshape(x: MxArray, shape: Dims): MxArray {
  return wrap(build.reshape(x.value, shape))
}

/** Elements from `start` below `stop` by `step`, per axis: a view. */
export function slice(x: MxArray, start: Shape, stop: Dims, step?: Shape): MxArray {
  return wrap(build.slice(x.value, start, stop, step))
}

export function astype(x: MxArray, dtype: DType): MxArray {
  return x.dtype === dtype ? x : wrap(build.copy(x.value, dtype))
}

/** Over the last axis, in float32. */
export function softmax(x: MxArray): MxArray {
  return wrap(build.apply({ kind: "softmax" }, { x: x.value }).y)
}

/** Index of the largest element of the last axis, uint32; the lowest of equals. */
export function argmax(x: MxArray): MxArray {
  return wrap(build.apply({ kind: "argmax" }, { x: x.value }).ids)
}

/** Indices of the `k` largest elements of the last axis in descending order, uint32; the lower index first among equals. */
export function topK(x: MxArray, k: number): MxArray {
  return wrap(build.apply({ kind: "top_k", k }, { x: x.value }).ids)
}

/** Elements of the last axis at `indices` (uint32). */
export function takeAlongAxis(x: MxArray, indices: MxArray): MxArray {
  return wrap(build.apply({ kind: "take_along_axis" }, { x: x.value, indices: indices.value }).y)
}

/**
 * Rows of x `[L, ...]` at `indices` `[W]` (uint32) -> `[W, ...]`. With `otherwise` `[W, ...]`, an index may be NO_INDEX:
 * that row comes from there.
 */
export function take(x: MxArray, indices: MxArray, otherwise?: MxArray): MxArray {
  const operands = { x: x.value, indices: indices.value, otherwise: otherwise?.value }
  return wrap(build.apply({ kind: "take" }, operands).y)
}

/**
 * Writes rows x `[W, ...]` into a state `[S, ...]` of their dtype at `indices` `[W]` (uint32), no two of which are the
 * same, in place; rows whose index is NO_INDEX are left out. The result is the state after that. Whatever reads the state itself in the same
 * step (see `MxArray.stateOf`) sees it as it was before.
 */
export function put(state: Storage, x: MxArray, indices: MxArray): MxArray {
  const operands = { state: build.state(state), x: x.value, indices: indices.value }
  return wrap(build.apply({ kind: "put" }, operands).state)
}

/** Rows of a `[vocab, n]` weight at `ids` `[L]` (uint32), as float32 `[L, n]`. */
export function embedding(ids: MxArray, weight: Weight): MxArray {
  return wrap(build.apply({ kind: "embedding" }, { ids: ids.value, weight: weightNodes(weight) }).y)
}

/** `x W^T + bias`: x `[L, K]`, weight `[N, K]`, bias `[N]` -> `[L, N]`. */
export function matmul(x: MxArray, weight: Weight, bias?: MxArray): MxArray {
  return wrap(build.apply({ kind: "matmul" }, { x: x.value, weight: weightNodes(weight, bias) }).y)
}

/** Each row through its chosen experts: x `[L, K]` or `[L, k, K]`, ids `[L, k]`, weight `[E, N, K]` -> `[L, k, N]`. */
export function gatherMatmul(x: MxArray, ids: MxArray, weight: Weight, bias?: MxArray): MxArray {
  const operands = { x: x.value, ids: ids.value, weight: weightNodes(weight, bias) }
  return wrap(build.apply({ kind: "gather_matmul" }, operands).y)
}

/** x `[L, k, N]` summed over k with weights `[L, k]` -> `[L, N]`. */
export function weightedSum(x: MxArray, weights: MxArray): MxArray {
  return wrap(build.apply({ kind: "weighted_sum" }, { x: x.value, weights: weights.value }).y)
}

/** How each row of `random.sample` chooses: see {@link Choices}. */
export type SamplingChoices = { readonly [N in keyof Choices]: MxArray }

/** See {@link adjustLogits}. */
export type LogitAdjustments = { readonly [N in keyof Adjustments]: MxArray }

function valuesOf<N extends string>(arrays: { readonly [K in N]: MxArray }): { readonly [K in N]: Value } {
  const values = Object.entries<MxArray>(arrays).map(([name, { value }]) => [name, value])
  return Object.fromEntries(values) as { [K in N]: Value }
}

export const random = {
  /**
   * A token id for each row of `logits` `[W, V]` -> uint32 `[W]`, each row by its own choices. Its token depends on nothing
   * beside it. NO_INDEX for a row with NaN or Infinity, or with no token allowed.
   *
   * @param mask `[W, ceil(V / 32)]` uint32: token id is allowed where bit `id % 32` of word `id / 32` is set
   */
  sample(logits: MxArray, choices: SamplingChoices, mask?: MxArray): MxArray {
    const operands = { logits: logits.value, ...valuesOf(choices), mask: mask?.value }
    return wrap(build.apply({ kind: "sample" }, operands).ids)
  },
}

/**
 * Logits `[W, V]` changed at the distinct places `rows`, `ids` `[U]` (uint32): `l += bias`, then `l > 0 ? l / factor :
 * l * factor`, then `l += shift`, float32 `[U]` each. That is a logit bias, a repetition penalty (Keskar et al. 2019), and
 * frequency and presence penalties, in the host sampler's order. Entries whose row is NO_INDEX change nothing.
 */
export function adjustLogits(logits: MxArray, adjustments: LogitAdjustments): MxArray {
  const operands = { logits: logits.value, ...valuesOf(adjustments) }
  return wrap(build.apply({ kind: "adjust_logits" }, operands).y)
}

export interface AttentionOptions {
  /** Multiplies the dot products: 1 / sqrt(head_dim) usually. */
  readonly scale: number
  /** Keys seen before and including the query's own position; null for all. */
  readonly window: number | null
  /** `[num_attention_heads]`: a logit per head that joins the softmax denominator and no value. */
  readonly sinks?: MxArray
}

/** A layer's caches after a step's rows were appended, and where the rows find what they see. */
export interface PagedKeyValues {
  /** `[slots, num_key_value_heads, words]` */
  readonly keys: MxArray
  readonly values: MxArray
  /** `[L]` uint32: the row of `tables` of each row. */
  readonly sequences: MxArray
  /** `[S, pages]` uint32: position p of a sequence lies in slot `tables[p / page_size] * page_size + p % page_size`. */
  readonly tables: MxArray
  readonly page_size: number
}

export const fast = {
  /** `x / sqrt(mean(x^2) + eps) * weight` over the last axis (Zhang and Sennrich, 2019). */
  rmsNorm(x: MxArray, weight: MxArray, eps: number): MxArray {
    return wrap(build.apply({ kind: "rms_norm", eps }, { x: x.value, weight: weight.value }).y)
  },

  /** Rotary embedding of the two halves of each head: x `[L, heads, head_dim]`, positions `[L]`, invFreq `[head_dim / 2]`. */
  rope(x: MxArray, positions: MxArray, invFreq: MxArray, scale: number): MxArray {
    const operands = { x: x.value, positions: positions.value, inv_freq: invFreq.value }
    return wrap(build.apply({ kind: "rope", scale }, operands).y)
  },

  /**
   * Writes rows x `[L, heads, head_dim]` into a cache state `[slots, heads, words]` at `slots` `[L]` (uint32, each its own), in place,
   * as the cache keeps vectors (`tensor/kv_format.ts`); the result is the cache after the write.
   */
  kvAppend(cache: Storage, x: MxArray, slots: MxArray): MxArray {
    return wrap(build.apply({ kind: "kv_append" }, { cache: build.state(cache), x: x.value, slots: slots.value }).cache)
  },

  /** Causal attention with grouped heads over pages: q `[L, num_attention_heads, head_dim]` at positions `[L]` (uint32). */
  attention(q: MxArray, cached: PagedKeyValues, positions: MxArray, options: AttentionOptions): MxArray {
    const { scale, window, sinks } = options
    const { keys, values, sequences, tables, page_size } = cached
    const pages = { keys: keys.value, values: values.value, sequences: sequences.value, tables: tables.value }
    const operands = { q: q.value, ...pages, positions: positions.value, sinks: sinks?.value }
    return wrap(build.apply({ kind: "attention", scale, window, page_size }, operands).y)
  },

  /**
   * gpt-oss's activation: `min(gate, limit) * sigmoid(alpha * min(gate, limit)) * (clamp(up, -limit, limit) + 1)`
   * (openai/gpt-oss, gpt_oss/torch/model.py).
   */
  swiglu(gate: MxArray, up: MxArray, alpha: number, limit: number): MxArray {
    return fast.glu(gate, up, { fn: "clamped_swiglu", alpha, limit, offset: 1 })
  },

  /**
   * Joins the halves of a gated feed-forward layer, of one shape, element by element (Shazeer 2020, arXiv 2002.05202):
   * `{ fn: "silu" }` is SwiGLU, `gate * sigmoid(gate) * up`; `{ fn: "gelu_tanh" }` is GeGLU with the tanh approximation
   * (arXiv 1606.08415); `{ fn: "clamped_swiglu", alpha, limit, offset }` is gpt-oss's, see `swiglu`. All in float32.
   */
  glu(gate: MxArray, up: MxArray, activation: GatedActivation): MxArray {
    return wrap(build.apply({ kind: "glu", activation }, { gate: gate.value, up: up.value }).y)
  },
}

export const memory = { stats: memoryStats }
