import { NO_INDEX } from "../../../src/ir/specs/rows.js"

/** How a row of `sample` chooses. */
export interface Choice {
  readonly temperature: number
  readonly top_k: number
  readonly top_p: number
  readonly min_p: number
  readonly uniform: number
}

/**
 * Backends round exponentials and their sums, each in its own way. So a token is right if the exact computation gives it
 * for `top_p` and `uniform` moved by this share of the whole mass at most, and `min_p` by this share of itself. What depends
 * on the order of logits alone (temperature 0, `top_k`) leaves no room.
 */
const ROUNDING = 2e-5

/** Whether `token` is a right choice from a row of logits; forbidden tokens are -Infinity there. */
export function isRightChoice(row: Float32Array, choice: Choice, token: number): boolean {
  const order = [...row.keys()].filter((id) => row[id] !== Number.NEGATIVE_INFINITY)
  if (order.length === 0 || order.some((id) => !Number.isFinite(row[id]))) return token === NO_INDEX
  order.sort((a, b) => row[b] - row[a] || a - b)
  if (choice.temperature === 0) return token === order[0]
  const { temperature, top_k, top_p, min_p, uniform } = choice
  const weights = Float64Array.from(row, (value) => Math.exp((value - row[order[0]]) / temperature))
  const first = top_k > 0 ? order.slice(0, top_k) : order
  const moved = (value: number, by: number) => [value - by, value, value + by]
  return (top_p < 1 ? moved(top_p, ROUNDING) : [2]).some((p) =>
    moved(min_p, min_p * ROUNDING).some((least) => {
      const kept = prefix(first, weights, p).filter((id) => weights[id] >= least || id === order[0])
      const [from, to] = place(kept, weights, token)
      return from - ROUNDING <= uniform && uniform < to + ROUNDING
    }),
  )
}

/** The fewest of the ids in order whose weights reach a share of all. */
function prefix(order: readonly number[], weights: Float64Array, share: number): readonly number[] {
  const target = share * sum(order, weights)
  let reached = 0
  for (const [i, id] of order.entries()) {
    reached += weights[id]
    if (reached >= target) return order.slice(0, i + 1)
  }
  return order
}

/** Where a token begins and ends among the cumulative probabilities of what is kept; nowhere if it is not. */
function place(kept: readonly number[], weights: Float64Array, token: number): readonly [number, number] {
  if (!kept.includes(token) || weights[token] === 0) return [Number.NaN, Number.NaN]
  const total = sum(kept, weights)
  const before = sum(
    kept.filter((id) => id < token),
    weights,
  )
  return [before / total, (before + weights[token]) / total]
}

function sum(ids: readonly number[], weights: Float64Array): number {
  return ids.reduce((total, id) => total + weights[id], 0)
}
