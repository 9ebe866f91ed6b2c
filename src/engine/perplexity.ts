import { ParameterError } from "./errors.js"
import { logSumExp } from "./sampling/logprobs.js"
import type { Scheduler } from "./scheduler.js"
import { type ScoreOptions, score } from "./score.js"
import { checkTokenIds } from "./token_ids.js"

export interface Perplexity {
  /** Tokens that were predicted. */
  readonly scored_tokens: number
  /** Mean negative log-likelihood in nats. */
  readonly nll: number
  /** `exp(nll)` */
  readonly perplexity: number
}

export interface PerplexityOptions extends ScoreOptions {
  /** Tokens per window, from 2 to the model's `max_context`; 2048, or `max_context` if that is less, by default. */
  readonly window?: number
}

/**
 * How well a model predicts a text. The tokens are cut into windows that do not overlap; the first token of a window is
 * given, the others are predicted (as llama.cpp's perplexity does, without its half-window of context).
 *
 * @throws {ParameterError} for a window out of range, too few tokens, and ids beyond the vocabulary
 */
export async function perplexity(
  scheduler: Scheduler,
  tokens: ArrayLike<number>,
  { window = Math.min(2048, scheduler.max_context), onProgress, signal }: PerplexityOptions = {},
): Promise<Perplexity> {
  const { max_context, vocab_size } = scheduler
  if (!(Number.isInteger(window) && window >= 2 && window <= max_context)) {
    throw new ParameterError("window", `a whole number from 2 to ${max_context}`, window)
  }
  if (tokens.length < 2) throw new ParameterError("text", "at least two tokens", tokens.length)
  checkTokenIds("tokens", tokens, vocab_size)
  const ids = Uint32Array.from(tokens)
  let sum = 0
  let scored_tokens = 0
  for (let start = 0; start + 1 < ids.length; start += window) {
    const part = ids.subarray(start, start + window)
    const report = (done: number) => onProgress?.(start + done, ids.length)
    let at = 0
    // The last token predicts nothing.
    for await (const rows of score(scheduler, part.subarray(0, -1), { signal, onProgress: report })) {
      for (let row = 0; row < rows.length; row += vocab_size) {
        const logits = rows.subarray(row, row + vocab_size)
        sum += logSumExp(logits) - logits[part[++at]]
        scored_tokens++
      }
    }
  }
  const nll = sum / scored_tokens
  return { scored_tokens, nll, perplexity: Math.exp(nll) }
}
