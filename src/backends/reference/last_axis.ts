import type { Operand } from "../../ir/program.js"
import type { OperandsOf } from "../../ir/operations.js"
import { NO_INDEX, type ReduceFn } from "../../ir/specs/rows.js"
import { BackendError } from "../backend.js"
import { rowsOf } from "./matmul.js"
import { concat, gatherBytes, loadFloats, loadIntegers, type Memory, row, store } from "./operands.js"

const REDUCE: Record<ReduceFn, (row: Float32Array) => number> = {
  sum: (row) => row.reduce((a, b) => a + b, 0),
  mean: (row) => row.reduce((a, b) => a + b, 0) / row.length,
  max: (row) => row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY),
}

const lastAxis = (memory: Memory, x: Operand) => rowsOf(loadFloats(memory, x), x.shape[x.shape.length - 1])

export function reduce(memory: Memory, fn: ReduceFn, x: Operand): Float32Array {
  return Float32Array.from(lastAxis(memory, x), REDUCE[fn])
}

function softmaxOf(row: Float32Array): Float64Array {
  const largest = REDUCE.max(row)
  const weights = Float64Array.from(row, (value) => Math.exp(value - largest))
  const total = weights.reduce((a, b) => a + b, 0)
  return weights.map((weight) => weight / total)
}

export function softmax(memory: Memory, x: Operand): Float32Array {
  return Float32Array.from(lastAxis(memory, x).flatMap((row) => [...softmaxOf(row)]))
}

/** Indices by descending value; sorting is stable, so equals keep the lower index first. */
function descending(row: Float32Array): number[] {
  return Array.from(row.keys()).sort((a, b) => row[b] - row[a])
}

export function argmax(memory: Memory, x: Operand): Uint32Array {
  return Uint32Array.from(lastAxis(memory, x), (row) => {
    const largest = REDUCE.max(row)
    return Number.isFinite(largest) ? row.indexOf(largest) : NO_INDEX
  })
}

export function topK(memory: Memory, k: number, x: Operand): Uint32Array {
  return Uint32Array.from(lastAxis(memory, x).flatMap((row) => descending(row).slice(0, k)))
}

export function takeAlongAxis(memory: Memory, x: Operand, indices: Operand): Float32Array {
  const k = indices.shape[indices.shape.length - 1]
  const rows = lastAxis(memory, x)
  return Float32Array.from(loadIntegers(memory, indices), (index, i) => {
    const row = rows[Math.floor(i / k)]
    if (index >= row.length) throw new BackendError(`take_along_axis: index ${index} is outside 0 to ${row.length - 1}`)
    return row[index]
  })
}

/** Whole rows, bit by bit. */
export function take(memory: Memory, { x, indices, otherwise }: OperandsOf<"take", Operand>): Uint8Array {
  const rows = Array.from(loadIntegers(memory, indices), (index, i) =>
    index === NO_INDEX && otherwise
      ? gatherBytes(memory, row(otherwise, i))
      : gatherBytes(memory, row(x, below(x.shape[0], index))),
  )
  return concat(rows, (length) => new Uint8Array(length))
}

/** Whole rows, bit by bit, where they belong in the state. */
export function put(memory: Memory, { state, x, indices }: OperandsOf<"put", Operand>): void {
  for (const [i, index] of loadIntegers(memory, indices).entries()) {
    if (index !== NO_INDEX) store(memory, row(state, below(state.shape[0], index)), gatherBytes(memory, row(x, i)))
  }
}

function below(rows: number, index: number): number {
  if (index >= rows) throw new BackendError(`row ${index} is outside 0 to ${rows - 1}`)
  return index
}
