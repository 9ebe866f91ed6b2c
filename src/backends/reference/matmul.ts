import type { OperandsOf } from "../../ir/operations.js"
import type { Operand } from "../../ir/program.js"
import type { Glu } from "../../ir/specs/elementwise.js"
import { NO_INDEX } from "../../ir/specs/rows.js"
import type { WeightOf } from "../../ir/type.js"
import { BackendError } from "../backend.js"
import { glu } from "./activation.js"
import { concat, loadFloats, loadIntegers, type Memory } from "./operands.js"
import { Weight } from "./weights.js"

const floats = (length: number) => new Float32Array(length)

/** Splits row-major values into rows of `n`. */
export function rowsOf(values: Float32Array, n: number): Float32Array[] {
  return Array.from({ length: values.length / n }, (_, i) => values.subarray(i * n, (i + 1) * n))
}

function checkId(what: string, id: number, limit: number): void {
  if (id >= limit) throw new BackendError(`${what} ${id} is outside 0 to ${limit - 1}`)
}

export function embedding(memory: Memory, { ids, weight }: OperandsOf<"embedding", Operand>, n: number) {
  const table = new Weight(memory, weight)
  const rows = Array.from(loadIntegers(memory, ids), (id) => {
    if (id === NO_INDEX) return table.row(table.length - 1, n)
    checkId("token id", id, table.length)
    return table.row(id, n)
  })
  return concat(rows, floats)
}

export function matmul(memory: Memory, { x, weight, residual }: OperandsOf<"matmul", Operand>): Float32Array {
  const product = concat(new Weight(memory, weight).apply(rowsOf(loadFloats(memory, x), x.shape[1])), floats)
  if (!residual) return product
  const added = loadFloats(memory, residual)
  return product.map((value, i) => value + added[i])
}

/** The rows that go to each expert, applied together so that an expert's rows are decoded once. */
function throughExperts(rows: readonly Float32Array[], ids: ArrayLike<number>, weight: Weight): Float32Array[] {
  const slots = new Map<number, number[]>()
  for (let slot = 0; slot < ids.length; slot++) {
    checkId("expert", ids[slot], weight.length)
    slots.set(ids[slot], [...(slots.get(ids[slot]) ?? []), slot])
  }
  const out: Float32Array[] = []
  for (const [expert, chosen] of slots) {
    const results = weight.expert(expert).apply(chosen.map((slot) => rows[slot]))
    for (const [i, slot] of chosen.entries()) out[slot] = results[i]
  }
  return out
}

/** One row of `x` per (token, chosen expert): rows `[L, K]` serve all of a token's experts. */
function rowPerSlot(memory: Memory, x: Operand, ids: Operand): Float32Array[] {
  const rows = rowsOf(loadFloats(memory, x), x.shape[x.shape.length - 1])
  const k = ids.shape[1]
  return x.shape.length === 3 ? rows : Array.from({ length: ids.shape[0] * k }, (_, slot) => rows[Math.floor(slot / k)])
}

export function gatherMatmul(memory: Memory, { x, ids, weight }: OperandsOf<"gather_matmul", Operand>) {
  return concat(
    throughExperts(rowPerSlot(memory, x, ids), loadIntegers(memory, ids), new Weight(memory, weight)),
    floats,
  )
}

export function gatherGlu(
  memory: Memory,
  { activation }: Glu,
  { x, ids, gate, up }: OperandsOf<"gather_glu", Operand>,
): Float32Array {
  const rows = rowPerSlot(memory, x, ids)
  const experts = loadIntegers(memory, ids)
  const through = (weight: WeightOf<Operand>) =>
    concat(throughExperts(rows, experts, new Weight(memory, weight)), floats)
  return glu(through(gate), through(up), activation)
}

export function weightedSum(memory: Memory, x: Operand, weights: Operand): Float32Array {
  const [L, k, N] = x.shape
  const values = loadFloats(memory, x)
  const scale = loadFloats(memory, weights)
  return Float32Array.from({ length: L * N }, (_, i) => {
    const [l, n] = [Math.floor(i / N), i % N]
    let sum = 0
    for (let j = 0; j < k; j++) sum += scale[l * k + j] * values[(l * k + j) * N + n]
    return sum
  })
}
