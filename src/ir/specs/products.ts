import { itemSize } from "../../tensor/dtype.js"
import { type Dim, fixed, largest } from "../dim.js"
import { sizeOf } from "../../tensor/shape.js"
import { expectType, last, weightRows } from "../expect.js"
import { spec } from "../op_spec.js"
import { GraphError } from "../graph_error.js"
import type { Type, WeightOf } from "../type.js"
import type { Glu } from "./elementwise.js"

/** Look-ups in weights, and products with them. */

type Weight = WeightOf<Type>

const rowsOf = ({ weight }: Weight) => fixed(weight.shape[0], "the rows of a weight")
const expertRowsOf = ({ weight }: Weight) => fixed(weight.shape[1], "the rows of an expert")

export const embedding = spec<unknown, { ids: Type; weight: Weight }, "y">({
  summary:
    "rows of a weight [vocab, n] at ids (uint32) [L] -> [L, n]; NO_INDEX, a token nobody could draw, reads the last row",
  operands: { ids: "value", weight: "weight" },
  indices: { operand: "ids", what: "token id", of: ["weight"], skips: true },
  infer: (_, { ids, weight }) => {
    expectType("embedding: ids", ids, [-1], "uint32")
    const words = last(weight.weight.shape)
    const { quantization } = weight
    const n = quantization ? (words * itemSize(weight.weight.dtype) * 8) / quantization.bits : words
    weightRows("embedding", weight, [], n)
    return { y: { shape: [ids.shape[0], n], dtype: "float32" } }
  },
  tolerance: "float",
})

export const matmul = spec<unknown, { x: Type; weight: Weight; residual?: Type }, "y">({
  summary: "x [L, K] times the transpose of a weight [N, K], plus its bias and residual [L, N] if given -> [L, N]",
  operands: { x: "value", weight: "weight", residual: "optional" },
  infer: (_, { x, weight, residual }) => {
    expectType("matmul: x", x, [-1, -1], "float32")
    const shape = [x.shape[0], weightRows("matmul", weight, [], x.shape[1])]
    if (residual) expectType("matmul: residual", residual, shape, "float32")
    return { y: { shape, dtype: "float32" } }
  },
  flops: (_, { x, weight }) => 2 * sizeOf(largest(x.shape)) * rowsOf(weight),
  tolerance: "product",
})

export const norm_matmul = spec<{ readonly eps: number }, { x: Type; norm: Type; weights: readonly Weight[] }, "y">({
  summary: "the products of rms_norm(x [L, K], norm [K]) with each weight [N_i, K], side by side -> [L, sum of N_i]",
  operands: { x: "value", norm: "value", weights: "weights" },
  infer: (_, { x, norm, weights }) => {
    const { L, K } = normedRows("norm_matmul", x, norm)
    const width = weights.reduce((sum, weight) => sum + weightRows("norm_matmul", weight, [], K), 0)
    return { y: { shape: [L, width], dtype: "float32" } }
  },
  flops: (_, { x, weights }) => 2 * sizeOf(largest(x.shape)) * weights.reduce((sum, weight) => sum + rowsOf(weight), 0),
  tolerance: "product",
})

const expertIndices = { operand: "ids", what: "expert" } as const

export const gather_matmul = spec<unknown, { x: Type; ids: Type; weight: Weight }, "y">({
  summary: "rows of x [L, K] or [L, k, K] through the experts ids (uint32) [L, k] of a weight [E, N, K] -> [L, k, N]",
  operands: { x: "value", ids: "value", weight: "weight" },
  indices: { ...expertIndices, of: ["weight"] },
  infer: (_, { x, ids, weight }) => {
    expectType("gather_matmul: ids", ids, [x.shape[0], -1], "uint32")
    if (x.shape.length !== 2) expectType("gather_matmul: x", x, [x.shape[0], ids.shape[1], -1], "float32")
    const N = weightRows("gather_matmul", weight, [weight.weight.shape[0]], last(x.shape))
    return { y: { shape: [...ids.shape, N], dtype: "float32" } }
  },
  flops: (_, { x, ids, weight }) => 2 * last(x.shape) * sizeOf(largest(ids.shape)) * expertRowsOf(weight),
  tolerance: "product",
})

export const gather_matmul_sum = spec<
  unknown,
  { x: Type; ids: Type; weight: Weight; scores: Type; residual: Type },
  "y"
>({
  summary:
    "residual [L, N] + the sum over k of scores [L, k] times gather_matmul(x [L, k, K], ids (uint32) [L, k], weight) -> [L, N]",
  operands: { x: "value", ids: "value", weight: "weight", scores: "value", residual: "value" },
  indices: { ...expertIndices, of: ["weight"] },
  infer: (_, { x, ids, weight, scores, residual }) => {
    expectType("gather_matmul_sum: x", x, [-1, -1, -1], "float32")
    const [L, k, K] = x.shape
    expectType("gather_matmul_sum: ids", ids, [L, k], "uint32")
    const N = weightRows("gather_matmul_sum", weight, [weight.weight.shape[0]], K)
    expectType("gather_matmul_sum: scores", scores, [L, k], "float32")
    expectType("gather_matmul_sum: residual", residual, [L, N], "float32")
    return { y: { shape: [L, N], dtype: "float32" } }
  },
  flops: (_, { x, weight }) => 2 * sizeOf(largest(x.shape)) * expertRowsOf(weight),
  tolerance: "product",
})

export interface GateUp {
  x: Type
  ids: Type
  gate: Weight
  up: Weight
}

function gateUp(kind: string, { x, ids, gate, up }: GateUp): { y: Type } {
  expectType(`${kind}: x`, x, [-1, -1], "float32")
  const [L, K] = x.shape
  expectType(`${kind}: ids`, ids, [L, -1], "uint32")
  const lead = [gate.weight.shape[0]]
  const [N, upN] = [weightRows(kind, gate, lead, K), weightRows(kind, up, lead, K)]
  if (upN !== N) throw new GraphError(`${kind}: gate has ${N} rows, up has ${upN}`)
  return { y: { shape: [...ids.shape, N], dtype: "float32" } }
}

const gateUpFlops = (_: unknown, { x, ids, gate }: GateUp) =>
  4 * last(x.shape) * sizeOf(largest(ids.shape)) * expertRowsOf(gate)

export const gather_glu = spec<Glu, GateUp, "y">({
  summary: "glu of gather_matmul with the weights gate and up [E, N, K]: x [L, K], ids (uint32) [L, k] -> [L, k, N]",
  operands: { x: "value", ids: "value", gate: "weight", up: "weight" },
  indices: { ...expertIndices, of: ["gate", "up"] },
  infer: (_, operands) => gateUp("gather_glu", operands),
  flops: gateUpFlops,
  tolerance: "product",
})

export const norm_gather_glu = spec<Glu & { readonly eps: number }, GateUp & { norm: Type }, "y">({
  summary: "gather_glu of rms_norm(x [L, K], norm [K]), ids (uint32) [L, k] -> [L, k, N]",
  operands: { x: "value", norm: "value", ids: "value", gate: "weight", up: "weight" },
  indices: { ...expertIndices, of: ["gate", "up"] },
  infer: (_, operands) => {
    normedRows("norm_gather_glu", operands.x, operands.norm)
    return gateUp("norm_gather_glu", operands)
  },
  flops: gateUpFlops,
  tolerance: "product",
})

export const route = spec<
  { readonly eps: number; readonly k: number },
  { x: Type; norm: Type; weight: Weight },
  "ids" | "scores"
>({
  summary:
    "the choice of experts: ids (uint32) [L, k] of the k largest products of rms_norm(x [L, K], norm [K]) with a weight [E, K], and the softmax over those k",
  operands: { x: "value", norm: "value", weight: "weight" },
  infer: ({ k }, { x, norm, weight }) => {
    const { L, K } = normedRows("route", x, norm)
    const E = weightRows("route", weight, [], K)
    if (k < 1 || k > E) throw new GraphError(`route: k = ${k} of ${E}`)
    return { ids: { shape: [L, k], dtype: "uint32" }, scores: { shape: [L, k], dtype: "float32" } }
  },
  flops: (_, { x, weight }) => 2 * sizeOf(largest(x.shape)) * rowsOf(weight),
  // Whom it chooses is all or nothing, so no backend computes it in fewer bits.
  tolerance: "float",
})

export const weighted_sum = spec<unknown, { x: Type; weights: Type }, "y">({
  summary: "x [L, k, N] summed over k with weights [L, k] -> [L, N]",
  operands: { x: "value", weights: "value" },
  infer: (_, { x, weights }) => {
    expectType("weighted_sum: x", x, [-1, -1, -1], "float32")
    expectType("weighted_sum: weights", weights, x.shape.slice(0, 2), "float32")
    return { y: { shape: [x.shape[0], x.shape[2]], dtype: "float32" } }
  },
  tolerance: "float",
})

function normedRows(kind: string, x: Type, norm: Type): { L: Dim; K: number } {
  expectType(`${kind}: x`, x, [-1, -1], "float32")
  const [L] = x.shape
  const K = last(x.shape)
  expectType(`${kind}: norm`, norm, [K])
  return { L, K }
}
