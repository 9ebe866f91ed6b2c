import type { KernelOf, OperandsOf } from "../../ir/operations.js"
import type { Operand } from "../../ir/program.js"
import { sizeOf } from "../../tensor/shape.js"
import { kvFormatOf } from "../../ir/expect.js"
import { decodeVector, encodeVector, hadamard } from "../../tensor/kv_format.js"
import { BackendError } from "../backend.js"
import { loadFloats, loadIntegers, type Memory, row, store } from "./operands.js"

/** Writes rows into their slots, in place, as the cache keeps them. */
export function kvAppend(memory: Memory, { cache, x, slots }: OperandsOf<"kv_append", Operand>): void {
  const headDim = x.shape[2]
  loadIntegers(memory, slots).forEach((slot, l) => {
    const vectors = loadFloats(memory, row(x, l))
    store(memory, slotOf(cache, slot), isQuantized(cache) ? encoded(cache, headDim, vectors) : vectors)
  })
}

/** Whether vectors are kept rotated, in codes: then queries are rotated as well, and sums of values back. */
function isQuantized({ dtype }: Operand): boolean {
  return dtype === "uint32"
}

function encoded(cache: Operand, headDim: number, vectors: Float32Array): Uint32Array {
  const words = new Uint32Array(cache.shape[1] * cache.shape[2])
  rotate(vectors, headDim)
  for (let h = 0; h < cache.shape[1]; h++) {
    const into = words.subarray(h * cache.shape[2], (h + 1) * cache.shape[2])
    encodeVector(kvFormatOf(cache, headDim)!, vectors.subarray(h * headDim, (h + 1) * headDim), into)
  }
  return words
}

/** Rotates each vector, in place; and back. */
function rotate(vectors: Float32Array, headDim: number): void {
  for (let at = 0; at < vectors.length; at += headDim) hadamard(vectors.subarray(at, at + headDim))
}

/** The vectors of a slot, as they are kept: rotated where they are quantized. */
function loadSlot(memory: Memory, cache: Operand, slot: number, headDim: number): Float32Array {
  const kept = slotOf(cache, slot)
  if (!isQuantized(cache)) return loadFloats(memory, kept)
  const words = new Uint32Array(loadIntegers(memory, kept))
  const [, heads, each] = cache.shape
  const vectors = new Float32Array(heads * headDim)
  for (let h = 0; h < heads; h++) {
    const into = vectors.subarray(h * headDim, (h + 1) * headDim)
    decodeVector(kvFormatOf(cache, headDim)!, words.subarray(h * each, (h + 1) * each), into)
  }
  return vectors
}

/** What a slot of a cache holds. */
function slotOf(cache: Operand, slot: number): Operand {
  if (slot >= cache.shape[0]) throw new BackendError(`slot ${slot} is outside 0 to ${cache.shape[0] - 1}`)
  return row(cache, slot)
}

/** The sequence of each row, and its pages. */
function pagesOf(
  memory: Memory,
  { sequences, tables }: Pick<OperandsOf<"attention", Operand>, "sequences" | "tables">,
) {
  return Array.from(loadIntegers(memory, sequences), (sequence) => {
    if (sequence >= tables.shape[0]) {
      throw new BackendError(`sequence ${sequence} is outside 0 to ${tables.shape[0] - 1}`)
    }
    return loadIntegers(memory, row(tables, sequence))
  })
}

/**
 * Causal attention with grouped heads and sinks: softmax over the scaled dot products and the head's sink, which takes
 * its share and brings no value (openai/gpt-oss, gpt_oss/torch/model.py, sdpa).
 */
export function attention(
  memory: Memory,
  { window, scale, page_size }: Pick<KernelOf<"attention">, "window" | "scale" | "page_size">,
  operands: OperandsOf<"attention", Operand>,
): Float32Array {
  const { q, keys, values } = operands
  const [, heads, headDim] = q.shape
  const shared = heads / keys.shape[1]
  const sinks = operands.sinks ? loadFloats(memory, operands.sinks) : null
  const pages = pagesOf(memory, operands)
  const out = new Float32Array(sizeOf(q.shape))
  loadIntegers(memory, operands.positions).forEach((position, l) => {
    const first = window === null ? 0 : Math.max(0, position - window + 1)
    const slots = Array.from({ length: position + 1 - first }, (_, i) => {
      const p = first + i
      return pages[l][Math.floor(p / page_size)] * page_size + (p % page_size)
    })
    const keyRows = slots.map((slot) => loadSlot(memory, keys, slot, headDim))
    const valueRows = slots.map((slot) => loadSlot(memory, values, slot, headDim))
    const query = loadFloats(memory, row(q, l))
    if (isQuantized(keys)) rotate(query, headDim)
    for (let h = 0; h < heads; h++) {
      const kv = Math.floor(h / shared) * headDim
      const scores = keyRows.map((key) => {
        let dot = 0
        for (let d = 0; d < headDim; d++) dot += query[h * headDim + d] * key[kv + d]
        return dot * scale
      })
      const largest = scores.reduce((a, b) => Math.max(a, b), sinks ? sinks[h] : Number.NEGATIVE_INFINITY)
      const weights = scores.map((score) => Math.exp(score - largest))
      const total = weights.reduce((a, b) => a + b, sinks ? Math.exp(sinks[h] - largest) : 0)
      for (let d = 0; d < headDim; d++) {
        const sum = weights.reduce((sum, weight, i) => sum + weight * valueRows[i][kv + d], 0)
        out[(l * heads + h) * headDim + d] = sum / total
      }
    }
  })
  if (isQuantized(values)) rotate(out, headDim)
  return out
}
