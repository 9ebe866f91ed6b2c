import { LogitsError } from "../errors.js"
import type { SamplingParams } from "./params.js"
import { argmax, massCut, topK } from "./selection.js"

/** Buffers for one distribution over `vocab_size` tokens, reused from token to token. */
export class Distribution {
  /** By token id: proportional to the probability, 1 for the most likely token, 0 for a dropped one. */
  readonly weights: Float64Array
  /** Sum of the weights. */
  total = 0
  private readonly ids: Uint32Array

  constructor(readonly vocab_size: number) {
    this.weights = new Float64Array(vocab_size)
    this.ids = new Uint32Array(vocab_size)
  }

  /**
   * Fills the weights: temperature, then top_k, top_p and min_p, each on what the one before it left (transformers' order).
   * Among tokens of equal logit at a limit the lower ids stay.
   *
   * @param logits f32 `[vocab_size]`
   * @throws {LogitsError} when a logit is NaN or +Infinity, or all are -Infinity
   */
  fill(logits: Float32Array, { temperature, top_k, top_p, min_p }: SamplingParams): void {
    const { weights, ids } = this
    const max = logits[mostLikely(logits)]
    this.total = 0
    let count = logits.length
    if (top_k > 0 && top_k < logits.length) {
      weights.fill(0)
      count = topK(logits, top_k, ids)
      for (let i = 0; i < count; i++) this.total += weights[ids[i]] = Math.exp((logits[ids[i]] - max) / temperature)
    } else {
      for (let id = 0; id < count; id++) this.total += weights[id] = Math.exp((logits[id] - max) / temperature)
    }
    if (top_p < 1) this.dropBelowTopP(logits, top_p)
    if (min_p > 0) this.drop((id) => weights[id] < min_p)
  }

  /** The first id, in vocabulary order, at which the cumulative probability exceeds `u`, for u in [0, 1). */
  pick(u: number): number {
    const target = u * this.total
    let sum = 0
    let last = 0
    for (let id = 0; id < this.vocab_size; id++) {
      if (this.weights[id] === 0) continue
      sum += this.weights[id]
      if (sum > target) return id
      last = id
    }
    return last
  }

  private dropBelowTopP(logits: Float32Array, top_p: number): void {
    const { weights, ids } = this
    // Tokens under an equal share of the tail cannot fill it together, so none of them is in the nucleus.
    const negligible = ((1 - top_p) * this.total) / this.vocab_size
    let count = 0
    for (let id = 0; id < this.vocab_size; id++) if (weights[id] > 0 && weights[id] >= negligible) ids[count++] = id
    const cut = massCut(logits, weights, ids, count, top_p * this.total)
    this.drop((id) => logits[id] < logits[cut] || (logits[id] === logits[cut] && id > cut))
  }

  private drop(out: (id: number) => boolean): void {
    this.total = 0
    for (let id = 0; id < this.vocab_size; id++) {
      if (this.weights[id] > 0 && out(id)) this.weights[id] = 0
      this.total += this.weights[id]
    }
  }
}

/** Argmax, the lower id among equals. @throws {LogitsError} as {@link Distribution.fill} */
export function mostLikely(logits: Float32Array): number {
  const token = argmax(logits)
  if (token < 0) throw new LogitsError()
  return token
}
