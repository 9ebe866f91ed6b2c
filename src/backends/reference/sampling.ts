import { last } from "../../ir/expect.js"
import type { OperandsOf } from "../../ir/operations.js"
import type { Operand } from "../../ir/program.js"
import { NO_INDEX } from "../../ir/specs/rows.js"
import { BackendError } from "../backend.js"
import { rowsOf } from "./matmul.js"
import { loadFloats, loadIntegers, type Memory } from "./operands.js"

/** How one row chooses. */
interface Choice {
  readonly temperature: number
  readonly top_k: number
  readonly top_p: number
  readonly min_p: number
  readonly uniform: number
}

export function sample(memory: Memory, operands: OperandsOf<"sample", Operand>): Uint32Array {
  const { logits, mask } = operands
  const [temperature, top_k, top_p, min_p, uniform] = (
    ["temperature", "top_k", "top_p", "min_p", "uniform"] as const
  ).map((name) => loadFloats(memory, operands[name]))
  const words = mask && loadIntegers(memory, mask)
  const n = last(logits.shape)
  const isAllowed = (l: number, id: number) =>
    !words || ((words[l * Math.ceil(n / 32) + Math.floor(id / 32)] >>> (id % 32)) & 1) === 1
  return Uint32Array.from(rowsOf(loadFloats(memory, logits), n), (row, l) => {
    if (row.some((logit) => Number.isNaN(logit) || logit === Number.POSITIVE_INFINITY)) return NO_INDEX
    const ids = [...row.keys()].filter((id) => row[id] > Number.NEGATIVE_INFINITY && isAllowed(l, id))
    // Sorting is stable: the lower id comes first among equals.
    ids.sort((a, b) => row[b] - row[a])
    if (ids.length === 0) return NO_INDEX
    if (temperature[l] === 0) return ids[0]
    return draw(row, ids, {
      temperature: temperature[l],
      top_k: top_k[l],
      top_p: top_p[l],
      min_p: min_p[l],
      uniform: uniform[l],
    })
  })
}

/** @param ids most likely first */
function draw(row: Float32Array, ids: number[], { temperature, top_k, top_p, min_p, uniform }: Choice): number {
  const weight = (id: number) => Math.exp((row[id] - row[ids[0]]) / temperature)
  let kept = top_k > 0 ? ids.slice(0, top_k) : ids
  if (top_p < 1) kept = kept.slice(0, 1 + firstWhere(kept, weight, (mass, total) => mass >= top_p * total))
  kept = kept.filter((id) => weight(id) >= min_p && weight(id) > 0).sort((a, b) => a - b)
  return kept[firstWhere(kept, weight, (mass, total) => mass > uniform * total)]
}

/** Where the running mass first is as wanted; the end, should rounding leave it short. */
function firstWhere(
  ids: readonly number[],
  weight: (id: number) => number,
  isReached: (mass: number, total: number) => boolean,
): number {
  const total = ids.reduce((sum, id) => sum + weight(id), 0)
  let mass = 0
  for (const [i, id] of ids.entries()) {
    mass += weight(id)
    if (isReached(mass, total)) return i
  }
  return ids.length - 1
}

export function adjustLogits(memory: Memory, operands: OperandsOf<"adjust_logits", Operand>): Float32Array {
  const y = loadFloats(memory, operands.logits)
  const [L, n] = operands.logits.shape
  const [bias, factor, shift] = (["bias", "factor", "shift"] as const).map((name) => loadFloats(memory, operands[name]))
  const ids = loadIntegers(memory, operands.ids)
  for (const [u, row] of loadIntegers(memory, operands.rows).entries()) {
    if (row === NO_INDEX) continue
    if (row >= L) throw new BackendError(`row ${row} is outside 0 to ${L - 1}`)
    if (ids[u] >= n) throw new BackendError(`token id ${ids[u]} is outside 0 to ${n - 1}`)
    const at = row * n + ids[u]
    // Each step is rounded to float32, as the array's elements are.
    y[at] += bias[u]
    y[at] = y[at] > 0 ? y[at] / factor[u] : y[at] * factor[u]
    y[at] += shift[u]
  }
  return y
}
