import type { KernelKind, KernelOf, OperandsOf, ResultsOf } from "../../ir/operations.js"
import type { Instruction, Operand } from "../../ir/program.js"
import { isFloatDType } from "../../tensor/floats.js"
import { binary, rmsNorm, rope, glu, unary } from "./activation.js"
import { attention, kvAppend } from "./attention.js"
import { gatherMatmulSum, normGatherGlu, normMatmul, ropeAttention, route } from "./fused.js"
import { argmax, put, reduce, softmax, take, takeAlongAxis, topK } from "./last_axis.js"
import { embedding, gatherMatmul, gatherGlu, matmul, weightedSum } from "./matmul.js"
import { adjustLogits, sample } from "./sampling.js"
import { gatherBytes, loadFloats, loadIntegers, type Memory, type Values } from "./operands.js"

/** Computes results, row-major, by name; those written in place are no part of it. */
type Kernel<K extends KernelKind> = (
  memory: Memory,
  op: KernelOf<K>,
  operands: OperandsOf<K, Operand>,
  results: ResultsOf<K, Operand>,
) => Partial<ResultsOf<K, Values>>

const KERNELS: { readonly [K in KernelKind]: Kernel<K> } = {
  copy: (memory, { dtype }, { x }) => ({ y: converted(memory, x, dtype) }),
  unary: (memory, op, operands) => ({ y: unary(memory, op, operands) }),
  binary: (memory, op, operands, { y }) => ({ y: binary(memory, op, operands, y) }),
  reduce: (memory, { fn }, { x }) => ({ y: reduce(memory, fn, x) }),
  softmax: (memory, _, { x }) => ({ y: softmax(memory, x) }),
  argmax: (memory, _, { x }) => ({ ids: argmax(memory, x) }),
  top_k: (memory, { k }, { x }) => ({ ids: topK(memory, k, x) }),
  take_along_axis: (memory, _, { x, indices }) => ({ y: takeAlongAxis(memory, x, indices) }),
  take: (memory, _, operands) => ({ y: take(memory, operands) }),
  put: (memory, _, operands) => {
    put(memory, operands)
    return {}
  },
  adjust_logits: (memory, _, operands) => ({ y: adjustLogits(memory, operands) }),
  sample: (memory, _, operands) => ({ ids: sample(memory, operands) }),
  embedding: (memory, _, operands, { y }) => ({ y: embedding(memory, operands, y.shape[1]) }),
  matmul: (memory, _, operands) => ({ y: matmul(memory, operands) }),
  gather_matmul: (memory, _, operands) => ({ y: gatherMatmul(memory, operands) }),
  gather_glu: (memory, op, operands) => ({ y: gatherGlu(memory, op, operands) }),
  rms_norm: (memory, { eps }, { x, weight }) => ({ y: rmsNorm(memory, eps, x, weight) }),
  rope: (memory, { scale }, operands) => ({ y: rope(memory, scale, operands) }),
  kv_append: (memory, _, operands) => {
    kvAppend(memory, operands)
    return {}
  },
  attention: (memory, op, operands) => ({ y: attention(memory, op, operands) }),
  glu: (memory, { activation }, { gate, up }) => ({
    y: glu(loadFloats(memory, gate), loadFloats(memory, up), activation),
  }),
  weighted_sum: (memory, _, { x, weights }) => ({ y: weightedSum(memory, x, weights) }),
  norm_matmul: (memory, op, operands) => ({ y: normMatmul(memory, op, operands) }),
  route,
  norm_gather_glu: (memory, op, operands) => ({ y: normGatherGlu(memory, op, operands) }),
  gather_matmul_sum: (memory, _, operands) => ({ y: gatherMatmulSum(memory, operands) }),
  rope_attention: (memory, op, operands) => ({ y: ropeAttention(memory, op, operands) }),
}

/** Computes one instruction's results, row-major, by name; nothing for those written in place. */
export function runKernel(memory: Memory, { op, operands, results }: Instruction): Readonly<Record<string, Values>> {
  // TypeScript cannot see that the key and the operands belong together.
  return (KERNELS[op.kind] as unknown as (...of: unknown[]) => Record<string, Values>)(memory, op, operands, results)
}

function converted(memory: Memory, x: Operand, dtype: Operand["dtype"]): Values {
  if (x.dtype === dtype) return gatherBytes(memory, x)
  return isFloatDType(x.dtype) ? loadFloats(memory, x) : Float64Array.from(loadIntegers(memory, x))
}
