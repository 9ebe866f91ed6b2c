import type { KernelOf, OperandsOf } from "../../ir/operations.js"
import type { Operand } from "../../ir/program.js"
import { sizeOf } from "../../tensor/shape.js"
import { BackendError } from "../backend.js"
import { loadFloats, loadIntegers, type Memory, row, store } from "./operands.js"

/** The cache of each row of a step, and its sequence: one for all without `sequences`. */
function cachesOf(memory: Memory, cache: Operand, sequences: Operand | undefined, L: number) {
  const ids = sequences ? loadIntegers(memory, sequences) : new Uint32Array(L)
  const outside = sequences && ids.find((id) => id >= cache.shape[0])
  if (outside !== undefined) throw new BackendError(`sequence ${outside} is outside 0 to ${cache.shape[0] - 1}`)
  return { ids, cacheOf: (id: number) => (sequences ? row(cache, id) : cache) }
}

/** Writes rows into their slots, in place, rounded to the cache's dtype. */
export function kvAppend(memory: Memory, { cache, x, positions, sequences }: OperandsOf<"kv_append", Operand>): void {
  const { ids, cacheOf } = cachesOf(memory, cache, sequences, x.shape[0])
  loadIntegers(memory, positions).forEach((position, l) => {
    const slots = cacheOf(ids[l])
    store(memory, row(slots, position % slots.shape[0]), loadFloats(memory, row(x, l)))
  })
}

/**
 * Causal attention with grouped heads and sinks: softmax over the scaled dot products and the head's sink, which takes
 * its share and brings no value (openai/gpt-oss, gpt_oss/torch/model.py, sdpa).
 */
export function attention(memory: Memory, op: Seen, operands: OperandsOf<"attention", Operand>): Float32Array {
  const { q, keys, values, positions, sequences } = operands
  const L = q.shape[0]
  const sinks = operands.sinks ? loadFloats(memory, operands.sinks) : null
  const { ids, cacheOf } = cachesOf(memory, keys, sequences, L)
  const position = loadIntegers(memory, positions)
  const width = sizeOf(q.shape) / L
  const out = new Float32Array(L * width)
  for (const id of new Set(ids)) {
    const rows = Array.from(ids.keys()).filter((l) => ids[l] === id)
    const queries = rows.map((l) => ({ position: position[l], values: loadFloats(memory, row(q, l)) }))
    const cached = { keys: cacheOf(id), values: sequences ? row(values, id) : values }
    for (const [i, result] of attend(memory, op, queries, cached, sinks).entries()) out.set(result, rows[i] * width)
  }
  return out
}

/** Which positions a row sees, and how dot products are scaled. */
type Seen = Pick<KernelOf<"attention">, "window" | "scale">

interface Query {
  readonly position: number
  /** `[heads * headDim]` */
  readonly values: Float32Array
}

/** The rows of one sequence, ascending in position. */
function attend(
  memory: Memory,
  op: Seen,
  queries: readonly Query[],
  cache: { readonly keys: Operand; readonly values: Operand },
  sinks: Float32Array | null,
): Float32Array[] {
  const [capacity, kvHeads, headDim] = cache.keys.shape
  const end = queries[queries.length - 1].position + 1
  const oldest = Math.max(0, end - capacity)
  const slots = Array.from({ length: end - oldest }, (_, i) => (oldest + i) % capacity)
  const keyRows = slots.map((slot) => loadFloats(memory, row(cache.keys, slot)))
  const valueRows = slots.map((slot) => loadFloats(memory, row(cache.values, slot)))
  return queries.map(({ position, values }) => {
    const out = new Float32Array(values.length)
    const heads = values.length / headDim
    const first = Math.max(oldest, op.window === null ? 0 : position - op.window + 1)
    for (let h = 0; h < heads; h++) {
      const kv = Math.floor(h / (heads / kvHeads)) * headDim
      const at = h * headDim
      const scores: number[] = []
      for (let p = first; p <= position; p++) {
        let dot = 0
        for (let d = 0; d < headDim; d++) dot += values[at + d] * keyRows[p - oldest][kv + d]
        scores.push(dot * op.scale)
      }
      const largest = scores.reduce((a, b) => Math.max(a, b), sinks ? sinks[h] : Number.NEGATIVE_INFINITY)
      const weights = scores.map((score) => Math.exp(score - largest))
      const total = weights.reduce((a, b) => a + b, sinks ? Math.exp(sinks[h] - largest) : 0)
      for (let d = 0; d < headDim; d++) {
        let sum = 0
        for (let i = 0; i < weights.length; i++) sum += weights[i] * valueRows[first - oldest + i][kv + d]
        out[at + d] = sum / total
      }
    }
    return out
  })
}
