import { ParameterError } from "./errors.js"
import type { ForwardOptions, ModelRunner } from "./model_runner.js"
import { logSumExp } from "./sampling/logprobs.js"
import type { Session } from "./session.js"
import { checkTokenIds } from "./token_ids.js"

export interface Perplexity {
  /** Tokens that were predicted. */
  readonly scored_tokens: number
  /** Mean negative log-likelihood in nats. */
  readonly nll: number
  /** `exp(nll)` */
  readonly perplexity: number
}

export interface PerplexityOptions extends ForwardOptions {
  /** Tokens per window, from 2 to the model's `max_context`; 2048, or `max_context` if that is less, by default. */
  readonly window?: number
}

/**
 * How well a model predicts a text. The tokens are cut into windows that do not overlap; the first token of a window is
 * given, the others are predicted (as llama.cpp's perplexity does, without its half-window of context). The session's caches
 * are empty afterwards.
 *
 * @throws {ParameterError} for a window out of range, too few tokens, and ids beyond the vocabulary
 */
export async function perplexity(
  session: Session,
  tokens: ArrayLike<number>,
  { window = Math.min(2048, session.runner.max_context), ...options }: PerplexityOptions = {},
): Promise<Perplexity> {
  const { max_context } = session.runner
  if (!(Number.isInteger(window) && window >= 2 && window <= max_context)) {
    throw new ParameterError("window", `a whole number from 2 to ${max_context}`, window)
  }
  if (tokens.length < 2) throw new ParameterError("text", "at least two tokens", tokens.length)
  checkTokenIds("tokens", tokens, session.runner.vocab_size)
  const work = windows(session.runner, Uint32Array.from(tokens), window, options)
  let sum = 0
  let scored_tokens = 0
  for await (const losses of session.inTurn(work, options.signal)) {
    for (const loss of losses) sum += loss
    scored_tokens += losses.length
  }
  const nll = sum / scored_tokens
  return { scored_tokens, nll, perplexity: Math.exp(nll) }
}

/** Negative log-likelihoods of the predicted tokens, a chunk at a time. */
async function* windows(
  runner: ModelRunner,
  tokens: Uint32Array,
  window: number,
  { onProgress, signal }: ForwardOptions,
): AsyncGenerator<number[], void> {
  const { vocab_size } = runner
  try {
    for (let start = 0; start + 1 < tokens.length; start += window) {
      const part = tokens.subarray(start, start + window)
      runner.reset()
      let at = 0
      // The last token predicts nothing.
      const inputs = part.subarray(0, -1)
      const report = (done: number) => onProgress?.(start + done, tokens.length)
      for await (const rows of runner.logits(inputs, { signal, onProgress: report })) {
        const losses: number[] = []
        for (let row = 0; row < rows.length; row += vocab_size) {
          const logits = rows.subarray(row, row + vocab_size)
          losses.push(logSumExp(logits) - logits[part[++at]])
        }
        yield losses
      }
    }
  } finally {
    runner.reset()
  }
}
