import type { KernelOf, OperandsOf } from "../../ir/operations.js"
import type { Operand } from "../../ir/program.js"
import { contiguousStrides, type Shape } from "../../tensor/shape.js"
import { rmsNorm, rope } from "./activation.js"
import { attention, kvAppend } from "./attention.js"
import { softmax, takeAlongAxis, topK } from "./last_axis.js"
import { gatherMatmul, gatherGlu, matmul, weightedSum } from "./matmul.js"
import { loadFloats, type Memory } from "./operands.js"

/** A program's memory and, behind it, the values between the kernels that a fused one is made of. */
class Workspace {
  readonly memory: Uint8Array[]

  constructor(memory: Memory) {
    this.memory = [...memory]
  }

  hold(values: Float32Array | Uint32Array, shape: Shape): Operand {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    const dtype = values instanceof Float32Array ? "float32" : "uint32"
    return { buffer: this.memory.push(bytes) - 1, offset: 0, shape, strides: contiguousStrides(shape), dtype }
  }

  norm(eps: number, x: Operand, weight: Operand): Operand {
    return this.hold(rmsNorm(this.memory, eps, x, weight), x.shape)
  }
}

export function normMatmul(
  memory: Memory,
  { eps }: KernelOf<"norm_matmul">,
  { x, norm, weights }: OperandsOf<"norm_matmul", Operand>,
): Float32Array {
  const work = new Workspace(memory)
  const normed = work.norm(eps, x, norm)
  const products = weights.map((weight) => matmul(work.memory, { x: normed, weight }))
  const L = x.shape[0]
  const width = products.reduce((sum, { length }) => sum + length / L, 0)
  const out = new Float32Array(L * width)
  let column = 0
  for (const product of products) {
    const n = product.length / L
    for (let l = 0; l < L; l++) out.set(product.subarray(l * n, (l + 1) * n), l * width + column)
    column += n
  }
  return out
}

export function route(
  memory: Memory,
  { eps, k }: KernelOf<"route">,
  { x, norm, weight }: OperandsOf<"route", Operand>,
): { ids: Uint32Array; scores: Float32Array } {
  const work = new Workspace(memory)
  const [L] = x.shape
  const product = matmul(work.memory, { x: work.norm(eps, x, norm), weight })
  const logits = work.hold(product, [L, weight.weight.shape[0]])
  const ids = topK(work.memory, k, logits)
  const largest = work.hold(takeAlongAxis(work.memory, logits, work.hold(ids, [L, k])), [L, k])
  return { ids, scores: softmax(work.memory, largest) }
}

export function normGatherGlu(
  memory: Memory,
  op: KernelOf<"norm_gather_glu">,
  { x, norm, ...rest }: OperandsOf<"norm_gather_glu", Operand>,
): Float32Array {
  const work = new Workspace(memory)
  return gatherGlu(work.memory, op, { x: work.norm(op.eps, x, norm), ...rest })
}

export function gatherMatmulSum(
  memory: Memory,
  { scores, residual, ...product }: OperandsOf<"gather_matmul_sum", Operand>,
): Float32Array {
  const work = new Workspace(memory)
  const rows = work.hold(gatherMatmul(work.memory, product), [...scores.shape, residual.shape[1]])
  const added = loadFloats(memory, residual)
  return weightedSum(work.memory, rows, scores).map((value, i) => value + added[i])
}

export function ropeAttention(
  memory: Memory,
  op: KernelOf<"rope_attention">,
  operands: OperandsOf<"rope_attention", Operand>,
): Float32Array {
  const { qkv, positions, inv_freq, slots, keys, values, ...pages } = operands
  const kvHeads = keys.shape[1]
  const headDim = 2 * inv_freq.shape[0]
  const [L, width] = qkv.shape
  const work = new Workspace(memory)
  const heads = (first: number, count: number): Operand => ({
    ...qkv,
    offset: qkv.offset + first * headDim * 4,
    shape: [L, count, headDim],
    strides: [width, headDim, 1],
  })
  const rotated = (x: Operand) => work.hold(rope(work.memory, op.rope_scale, { x, positions, inv_freq }), x.shape)
  const queryHeads = width / headDim - 2 * kvHeads
  kvAppend(work.memory, { cache: keys, x: rotated(heads(queryHeads, kvHeads)), slots })
  kvAppend(work.memory, { cache: values, x: heads(queryHeads + kvHeads, kvHeads), slots })
  return attention(work.memory, op, { q: rotated(heads(0, queryHeads)), keys, values, positions, ...pages })
}
