import type { CancelSignal } from "../backends/backend.js"

/** What {@link ModelRunner.forward} takes beside the tokens. */
export interface ForwardOptions {
  /** Called between chunks of a long prompt, with tokens done, of all given. */
  readonly onProgress?: (done: number, total: number) => void
  /** Stops between chunks: `forward` then rejects with the signal's reason, and the chunks done stay in the cache. */
  readonly signal?: CancelSignal
}

/** How the device chooses tokens by itself. */
export interface Draw {
  /** Divides the logits; 0 takes the most likely token, the lowest id among equals. */
  readonly temperature: number
  /** The i-th number of a uniform sequence in [0, 1): the token is the first whose cumulative probability exceeds it. */
  uniform(i: number): number
}

export interface DecodeOptions extends ForwardOptions {
  readonly draw: Draw
  /** At most this many tokens are drawn, 1 or more; room is made for them at once. Until the caches are full by default. */
  readonly limit?: number
}

/** One sequence of a model on some device, with its caches: all that the engine knows of models. */
export interface ModelRunner {
  readonly vocab_size: number
  /** Tokens that the caches hold at most, prompt and answer together. */
  readonly max_context: number
  /** Tokens now in the caches. */
  readonly length: number
  /**
   * Appends tokens, at least one, to the caches and returns the logits after the last one, f32 `[vocab_size]`, valid until the next call.
   */
  forward(tokens: Uint32Array, options?: ForwardOptions): Promise<Float32Array>
  /** As `forward`, with the logits of every token: f32 `[rows, vocab_size]` a chunk, each valid until the next. */
  logits(tokens: Uint32Array, options?: ForwardOptions): AsyncIterable<Float32Array>
  /**
   * Appends tokens, then draws tokens on the device and appends those, one after the other, without waiting for the
   * host. Yields the drawn ids. However it ends, the caches then hold `tokens` and the yielded ids but the last.
   * Missing where the host draws as fast.
   */
  decode?(tokens: Uint32Array, options: DecodeOptions): AsyncGenerator<number, void>
  /**
   * Keeps the first `n` tokens if the caches still can (a rotating cache may have overwritten them), else fewer.
   *
   * @returns how many were kept
   */
  trim(n: number): number
  /** Empties the caches. */
  reset(): void
  /** Frees the caches and what was compiled for them. The model's weights stay with the backend. */
  dispose(): void
}
