import { argmax, topK } from "./selection.js"

/** A token and its natural-log probability. */
export interface TokenLogprob {
  readonly token: number
  readonly logprob: number
}

/** `log(sum(exp(values)))` without overflow. */
export function logSumExp(values: Float32Array): number {
  const max = values[argmax(values)]
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i] - max)
  return max + Math.log(sum)
}

/**
 * The `k` most likely tokens of the log-softmax of `logits`, most likely first.
 *
 * @param normalizer {@link logSumExp} of the logits
 * @param scratch at least `k` ids
 */
export function topLogprobs(logits: Float32Array, k: number, normalizer: number, scratch: Uint32Array): TokenLogprob[] {
  const count = topK(logits, k, scratch)
  return Array.from(scratch.subarray(0, count), (token) => ({ token, logprob: logits[token] - normalizer }))
}
