import { itemSize } from "../../tensor/dtype.js"
import type { KernelOf } from "../ops.js"
import type { Operand } from "../program.js"
import { loadFloats, loadIntegers, type Memory, row } from "./operands.js"

/** Writes rows into their slots, in place. */
export function kvAppend(memory: Memory, _: KernelOf<"kv_append">, [cache, x, positions]: Operand[]): void {
  const size = itemSize(cache.dtype)
  const rowBytes = x.shape[1] * x.shape[2] * size
  const source = memory[x.buffer].subarray(x.offset)
  const target = memory[cache.buffer].subarray(cache.offset)
  loadIntegers(memory, positions).forEach((position, l) => {
    target.set(source.subarray(l * rowBytes, (l + 1) * rowBytes), (position % cache.shape[0]) * rowBytes)
  })
}

/**
 * Causal attention with grouped heads and sinks: softmax over the scaled dot products and the head's sink, which takes
 * its share and brings no value (openai/gpt-oss, gpt_oss/torch/model.py, sdpa).
 */
export function attention(memory: Memory, op: KernelOf<"attention">, operands: Operand[]): Float32Array {
  const [q, keys, values, positions, sinks] = operands
  const [L, heads, headDim] = q.shape
  const [capacity, kvHeads] = keys.shape
  const queries = loadFloats(memory, q)
  const position = loadIntegers(memory, positions)
  const sink = op.sinks ? loadFloats(memory, sinks) : null
  const out = new Float32Array(L * heads * headDim)
  const cached = Math.min(position[L - 1] + 1, capacity)
  const oldest = position[L - 1] + 1 - cached
  const slots = Array.from({ length: cached }, (_, i) => (oldest + i) % capacity)
  const keyRows = slots.map((slot) => loadFloats(memory, row(keys, slot)))
  const valueRows = slots.map((slot) => loadFloats(memory, row(values, slot)))
  for (let l = 0; l < L; l++) {
    const first = Math.max(oldest, op.window === null ? 0 : position[l] - op.window + 1)
    for (let h = 0; h < heads; h++) {
      const kv = Math.floor(h / (heads / kvHeads)) * headDim
      const at = (l * heads + h) * headDim
      const scores: number[] = []
      for (let p = first; p <= position[l]; p++) {
        let dot = 0
        for (let d = 0; d < headDim; d++) dot += queries[at + d] * keyRows[p - oldest][kv + d]
        scores.push(dot * op.scale)
      }
      const largest = scores.reduce((a, b) => Math.max(a, b), sink ? sink[h] : Number.NEGATIVE_INFINITY)
      const weights = scores.map((score) => Math.exp(score - largest))
      const total = weights.reduce((a, b) => a + b, sink ? Math.exp(sink[h] - largest) : 0)
      for (let d = 0; d < headDim; d++) {
        let sum = 0
        for (let i = 0; i < weights.length; i++) sum += weights[i] * valueRows[first - oldest + i][kv + d]
        out[at + d] = sum / total
      }
    }
  }
  return out
}
