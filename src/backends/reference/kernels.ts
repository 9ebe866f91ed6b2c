import { isFloatDType } from "../../tensor/floats.js"
import type { KernelOf, KernelOp } from "../ops.js"
import type { Operand } from "../program.js"
import { binary, rmsNorm, rope, swiglu, unary } from "./activation.js"
import { attention, kvAppend } from "./attention.js"
import { gatherMatmulSum, normGatherSwiglu, normMatmul, ropeAttention, route } from "./fused.js"
import { argmax, categorical, reduce, softmax, takeAlongAxis, topK } from "./last_axis.js"
import { embedding, gatherMatmul, gatherSwiglu, matmul, weightedSum } from "./matmul.js"
import { gatherBytes, loadFloats, loadIntegers, type Memory, type Values } from "./operands.js"

/** Computes one kernel's result, row-major; nothing for those that write in place. */
export function runKernel(memory: Memory, op: KernelOp, inputs: Operand[], output: Operand): Values | undefined {
  switch (op.kind) {
    case "copy":
      return copy(memory, op, inputs, output)
    case "assign":
      return gatherBytes(memory, inputs[1])
    case "unary":
      return unary(memory, op, inputs)
    case "binary":
      return binary(memory, op, inputs, output)
    case "reduce":
      return reduce(memory, op, inputs)
    case "softmax":
      return softmax(memory, op, inputs)
    case "argmax":
      return argmax(memory, op, inputs)
    case "top_k":
      return topK(memory, op, inputs)
    case "take_along_axis":
      return takeAlongAxis(memory, op, inputs)
    case "categorical":
      return categorical(memory, op, inputs)
    case "embedding":
      return embedding(memory, op, inputs, output)
    case "matmul":
      return matmul(memory, op, inputs)
    case "gather_matmul":
      return gatherMatmul(memory, op, inputs)
    case "gather_swiglu":
      return gatherSwiglu(memory, op, inputs)
    case "rms_norm":
      return rmsNorm(memory, op, inputs)
    case "rope":
      return rope(memory, op, inputs)
    case "kv_append":
      kvAppend(memory, op, inputs)
      return undefined
    case "attention":
      return attention(memory, op, inputs)
    case "swiglu":
      return swiglu(loadFloats(memory, inputs[0]), loadFloats(memory, inputs[1]), op.alpha, op.limit)
    case "weighted_sum":
      return weightedSum(memory, op, inputs)
    case "norm_matmul":
      return normMatmul(memory, op, inputs)
    case "route":
      return route(memory, op, inputs)
    case "norm_gather_swiglu":
      return normGatherSwiglu(memory, op, inputs)
    case "gather_matmul_sum":
      return gatherMatmulSum(memory, op, inputs)
    case "rope_attention":
      return ropeAttention(memory, op, inputs)
    default:
      return op satisfies never
  }
}

function copy(memory: Memory, _: KernelOf<"copy">, [x]: Operand[], output: Operand): Values {
  if (x.dtype === output.dtype) return gatherBytes(memory, x)
  return isFloatDType(x.dtype) ? loadFloats(memory, x) : Float64Array.from(loadIntegers(memory, x))
}
