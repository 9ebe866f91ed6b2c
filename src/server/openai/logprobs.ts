import type { LoggedToken } from "../served_model.js"

/** OpenAI's `ChatCompletionTokenLogprob`, and `LogProb` of responses. */
export interface TokenLogprob {
  readonly token: string
  readonly logprob: number
  readonly bytes: readonly number[]
  readonly top_logprobs: readonly Omit<TokenLogprob, "top_logprobs">[]
}

export function tokenLogprob({ text, logprob, bytes, top_logprobs }: LoggedToken): TokenLogprob {
  return {
    token: text,
    logprob: writable(logprob),
    bytes,
    top_logprobs: top_logprobs.map(({ text, logprob, bytes }) => ({ token: text, logprob: writable(logprob), bytes })),
  }
}

/** JSON has no infinity; OpenAI says -9999 of what is most unlikely. */
export function writable(logprob: number): number {
  return Number.isFinite(logprob) ? logprob : -9999
}
