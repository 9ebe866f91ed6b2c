import { contiguousStrides, type Shape } from "../../tensor/shape.js"
import { type KernelOf, weightRoles } from "../ops.js"
import type { Operand } from "../program.js"
import { rmsNorm, rope } from "./activation.js"
import { attention, kvAppend } from "./attention.js"
import { softmax, takeAlongAxis, topK } from "./last_axis.js"
import { gatherMatmul, gatherSwiglu, matmul, weightedSum } from "./matmul.js"
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
    return this.hold(rmsNorm(this.memory, { kind: "rms_norm", eps }, [x, weight]), x.shape)
  }
}

export function normMatmul(memory: Memory, op: KernelOf<"norm_matmul">, [x, norm, ...operands]: Operand[]) {
  const work = new Workspace(memory)
  const normed = work.norm(op.eps, x, norm)
  const products = op.formats.map((format) => {
    const weight = operands.splice(0, weightRoles(format).length)
    return matmul(work.memory, { kind: "matmul", format, residual: false }, [normed, ...weight])
  })
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

export function route(memory: Memory, op: KernelOf<"route">, [x, norm, ...weight]: Operand[]): Uint32Array {
  const work = new Workspace(memory)
  const product = { kind: "matmul", format: op.format, residual: false } as const
  const N = weight[0].shape[0]
  const logits = work.hold(matmul(work.memory, product, [work.norm(op.eps, x, norm), ...weight]), [x.shape[0], N])
  const chosen = topK(work.memory, { kind: "top_k", k: op.k }, [logits])
  const ids = work.hold(chosen, [x.shape[0], op.k])
  const largest = work.hold(takeAlongAxis(work.memory, { kind: "take_along_axis" }, [logits, ids]), ids.shape)
  const weights = softmax(work.memory, { kind: "softmax" }, [largest])
  return Uint32Array.of(...chosen, ...new Uint32Array(weights.buffer, weights.byteOffset, weights.length))
}

export function normGatherSwiglu(memory: Memory, op: KernelOf<"norm_gather_swiglu">, operands: Operand[]) {
  const [x, norm, ...rest] = operands
  const work = new Workspace(memory)
  return gatherSwiglu(work.memory, { ...op, kind: "gather_swiglu" }, [work.norm(op.eps, x, norm), ...rest])
}

export function gatherMatmulSum(memory: Memory, op: KernelOf<"gather_matmul_sum">, operands: Operand[]) {
  const [weights, residual] = operands.slice(-2)
  const work = new Workspace(memory)
  const product = gatherMatmul(work.memory, { ...op, kind: "gather_matmul" }, operands.slice(0, -2))
  const expertRows = work.hold(product, [...weights.shape, residual.shape[1]])
  const sum = weightedSum(work.memory, { kind: "weighted_sum" }, [expertRows, weights])
  const added = loadFloats(memory, residual)
  return sum.map((value, i) => value + added[i])
}

export function ropeAttention(memory: Memory, op: KernelOf<"rope_attention">, operands: Operand[]): Float32Array {
  const [qkv, positions, invFreq, keys, values, ...tail] = operands
  const { sequences } = op
  const [kvHeads, headDim] = keys.shape.slice(-2)
  const [L, width] = qkv.shape
  const work = new Workspace(memory)
  const heads = (first: number, count: number): Operand => ({
    ...qkv,
    offset: qkv.offset + first * headDim * 4,
    shape: [L, count, headDim],
    strides: [width, headDim, 1],
  })
  const rotated = (x: Operand) =>
    work.hold(rope(work.memory, { kind: "rope", scale: op.rope_scale }, [x, positions, invFreq]), x.shape)
  const append = (cache: Operand, x: Operand) =>
    kvAppend(work.memory, { kind: "kv_append", sequences }, [cache, x, positions, ...(sequences ? tail.slice(-1) : [])])
  const queryHeads = width / headDim - 2 * kvHeads
  append(keys, rotated(heads(queryHeads, kvHeads)))
  append(values, heads(queryHeads + kvHeads, kvHeads))
  const q = rotated(heads(0, queryHeads))
  return attention(work.memory, { ...op, kind: "attention" }, [q, keys, values, positions, ...tail])
}
