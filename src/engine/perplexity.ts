import { ParameterError } from "./errors.js"
import type { ForwardOptions, ModelRunner } from "./model_runner.js"
import { logSumExp } from "./sampling/logprobs.js"
import { checkTokenIds } from "./token_ids.js"

export interface Perplexity {
  /** Tokens that were predicted. */
  readonly scored_tokens: number
  /** Mean negative log-likelihood in nats. */
  readonly nll: number
  /** `exp(nll)` */
  readonly perplexity: number
}

/**
 * How well a model predicts a text. The tokens are cut into windows that do not overlap; the first token of a window is
 * given, the others are predicted (as llama.cpp's perplexity does, without its half-window of context).
 *
 * @param window tokens per window, from 2 to the runner's context
 * @throws {ParameterError} for a window out of range, too few tokens, and ids beyond the vocabulary
 */
export async function perplexity(
  runner: ModelRunner,
  tokens: Uint32Array,
  window: number,
  { onProgress, signal }: ForwardOptions = {},
): Promise<Perplexity> {
  if (!(Number.isInteger(window) && window >= 2 && window <= runner.max_context)) {
    throw new ParameterError("window", `a whole number from 2 to ${runner.max_context}`, window)
  }
  if (tokens.length < 2) throw new ParameterError("text", "at least two tokens", tokens.length)
  checkTokenIds("tokens", tokens, runner.vocab_size)
  let sum = 0
  let scored_tokens = 0
  for (let start = 0; start + 1 < tokens.length; start += window) {
    const part = tokens.subarray(start, start + window)
    runner.reset()
    let at = 0
    // The last token predicts nothing.
    const inputs = part.subarray(0, -1)
    const report = (done: number) => onProgress?.(start + done, tokens.length)
    for await (const rows of runner.logits(inputs, { signal, onProgress: report })) {
      for (let row = 0; row < rows.length; row += runner.vocab_size) {
        const logits = rows.subarray(row, row + runner.vocab_size)
        sum += logSumExp(logits) - logits[part[++at]]
        scored_tokens++
      }
    }
  }
  const nll = sum / scored_tokens
  return { scored_tokens, nll, perplexity: Math.exp(nll) }
}
