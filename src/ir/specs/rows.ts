import type { Dims } from "../dim.js"
import { expectType, last } from "../expect.js"
import { spec } from "../op_spec.js"
import { GraphError } from "../graph_error.js"
import type { Type } from "../type.js"

/** Operations over the last axis. */

export type ReduceFn = "sum" | "mean" | "max"

/**
 * What `argmax` and `sample` give for a row nobody can choose from: one with NaN or +Infinity, or -Infinity
 * alone. Among indices it picks nothing, where the operation's description allows it.
 */
export const NO_INDEX = 0xffffffff

/** All but the last dimension, which must be known. */
function rowsOf({ shape }: Type): Dims {
  last(shape)
  return shape.slice(0, -1)
}

export const reduce = spec<{ readonly fn: ReduceFn }, { x: Type }, "y">({
  summary: "fn of each row: x [..., n] -> [...], in x's dtype",
  operands: { x: "value" },
  infer: (_, { x }) => ({ y: { shape: rowsOf(x), dtype: x.dtype } }),
  tolerance: "float",
})

export const softmax = spec<unknown, { x: Type }, "y">({
  summary: "softmax of each row of x [..., n], in x's dtype",
  operands: { x: "value" },
  infer: (_, { x }) => {
    last(x.shape)
    return { y: x }
  },
  tolerance: "float",
})

export const argmax = spec<unknown, { x: Type }, "ids">({
  summary:
    "x [..., n] -> uint32 [...]: the largest element's index, the lowest of equals; NO_INDEX where there is none",
  operands: { x: "value" },
  infer: (_, { x }) => ({ ids: { shape: rowsOf(x), dtype: "uint32" } }),
  tolerance: "exact",
})

export const top_k = spec<{ readonly k: number }, { x: Type }, "ids">({
  summary: "x [..., n] -> uint32 [..., k]: indices by descending value, the lower first among equals",
  operands: { x: "value" },
  infer: ({ k }, { x }) => {
    if (k < 1 || k > last(x.shape)) throw new GraphError(`top_k: k = ${k} of ${last(x.shape)}`)
    return { ids: { shape: [...rowsOf(x), k], dtype: "uint32" } }
  },
  tolerance: "exact",
})

export const take_along_axis = spec<unknown, { x: Type; indices: Type }, "y">({
  summary: "x [..., n], of any dtype, at indices (uint32) [..., k] of the last axis -> [..., k] of that dtype",
  operands: { x: "value", indices: "value" },
  indices: { operand: "indices", what: "take_along_axis: index", of: ["x"], axis: "last" },
  infer: (_, { x, indices }) => {
    expectType("take_along_axis: indices", indices, [...rowsOf(x), last(indices.shape)], "uint32")
    return { y: { shape: indices.shape, dtype: x.dtype } }
  },
  tolerance: "exact",
})

export const take = spec<unknown, { x: Type; indices: Type; otherwise?: Type }, "y">({
  summary:
    "rows of x [L, ...], of any dtype, at indices (uint32) [W] -> [W, ...] of that dtype; where an index is NO_INDEX, the row of otherwise [W, ...]",
  operands: { x: "value", indices: "value", otherwise: "optional" },
  indices: { operand: "indices", what: "row", of: ["x"], skips: "otherwise" },
  infer: (_, { x, indices, otherwise }) => {
    expectType("take: indices", indices, [-1], "uint32")
    const y = { shape: [indices.shape[0], ...x.shape.slice(1)], dtype: x.dtype }
    if (otherwise) expectType("take: otherwise", otherwise, y.shape, y.dtype)
    return { y }
  },
  tolerance: "exact",
})

export const put = spec<unknown, { state: Type; x: Type; indices: Type }, "state">({
  summary:
    "the state [S, ...], of any dtype, with rows x [W, ...] of that dtype at indices (uint32) [W], no two of which are the same; rows whose index is NO_INDEX are left out",
  operands: { state: "state", x: "value", indices: "value" },
  writes: { state: "state" },
  indices: { operand: "indices", what: "row", of: ["state"], skips: true },
  infer: (_, { state, x, indices }) => {
    expectType("put: indices", indices, [-1], "uint32")
    expectType("put: x", x, [indices.shape[0], ...state.shape.slice(1)], state.dtype)
    return { state }
  },
  tolerance: "exact",
})

export const rms_norm = spec<{ readonly eps: number }, { x: Type; weight: Type }, "y">({
  summary:
    "x [..., n] / sqrt(mean(x^2) + eps) * weight [n] (any float dtype) -> float32 [..., n] (Zhang and Sennrich, 2019)",
  operands: { x: "value", weight: "value" },
  infer: (_, { x, weight }) => {
    expectType("rms_norm: weight", weight, [last(x.shape)])
    return { y: { shape: x.shape, dtype: "float32" } }
  },
  tolerance: "float",
})
