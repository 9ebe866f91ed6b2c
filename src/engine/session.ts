import type { CancelSignal } from "../backends/backend.js"
import { ContextLengthError, ParameterError } from "./errors.js"
import type { DecodeOptions, ForwardOptions, ModelRunner } from "./model_runner.js"
import { checkTokenIds } from "./token_ids.js"
import { Turns } from "./turns.js"

/** A token drawn by the device. */
export interface Decoded {
  readonly token: number
  /** Prompt tokens that were in the caches. */
  readonly cached_tokens: number
}

/**
 * A runner and the tokens in its caches. The next prompt, usually the conversation so far and one more message, runs only
 * from where it differs.
 */
export class Session {
  private cached: Uint32Array
  private readonly turns = new Turns()
  private current: { readonly work: AsyncGenerator<unknown, void>; readonly end: () => void } | undefined
  private closing: Promise<void> | undefined

  constructor(readonly runner: ModelRunner) {
    this.cached = new Uint32Array(runner.max_context)
  }

  /** The tokens in the caches. */
  get tokens(): Uint32Array {
    return this.cached.subarray(0, this.runner.length)
  }

  /** Forgets everything. */
  reset(): void {
    this.runner.reset()
  }

  /**
   * Brings the caches to `prompt`, reusing the longest common prefix, and returns the logits after its last token.
   *
   * @throws {ContextLengthError} when no room is left for an answer
   * @throws {ParameterError} when the prompt is empty or holds an id outside the vocabulary
   */
  async prefill(
    prompt: ArrayLike<number>,
    options: ForwardOptions = {},
  ): Promise<{ logits: Float32Array; cached_tokens: number }> {
    const cached_tokens = this.rewind(prompt)
    return { logits: await this.append(Uint32Array.from(prompt).subarray(cached_tokens), options), cached_tokens }
  }

  /** Runs tokens after those in the caches and returns the logits after the last one, valid until the next call. */
  async append(tokens: Uint32Array, options: ForwardOptions = {}): Promise<Float32Array> {
    options.signal?.throwIfAborted()
    // Written first: after a failure part of a prompt may be in the caches, and `length` says how much.
    this.cached.set(tokens, this.runner.length)
    return this.runner.forward(tokens, options)
  }

  /**
   * As `prefill`, then draws tokens on the device: see `ModelRunner.decode`, which the runner must have. The first yield
   * says how much of the prompt was in the caches.
   */
  async *decode(prompt: ArrayLike<number>, options: DecodeOptions): AsyncGenerator<Decoded, void> {
    const cached_tokens = this.rewind(prompt)
    const tokens = Uint32Array.from(prompt).subarray(cached_tokens)
    options.signal?.throwIfAborted()
    this.cached.set(tokens, cached_tokens)
    let at = prompt.length
    for await (const token of this.runner.decode!(tokens, options)) {
      // The last token that fits the context is drawn but not cached.
      if (at < this.cached.length) this.cached[at++] = token
      yield { token, cached_tokens }
    }
  }

  /**
   * Yields what `work` yields, which has the caches for itself from the first result asked for until it is over or left:
   * its like wait, first come, first served, since their tokens would mix.
   *
   * @throws the signal's reason when it is aborted before the turn comes; an Error once the session is closed
   */
  async *inTurn<T>(work: AsyncGenerator<T, void>, signal?: CancelSignal): AsyncGenerator<T, void> {
    this.checkOpen()
    const end = await this.turns.take(signal)
    try {
      this.checkOpen()
      this.current = { work, end }
      yield* work
      this.checkOpen()
    } finally {
      end()
    }
  }

  /** Also while it is closing. */
  get isClosed(): boolean {
    return this.closing !== undefined
  }

  /** Ends the work that runs, refuses what waits and frees the caches. */
  close(): Promise<void> {
    this.closing ??= this.finish()
    return this.closing
  }

  private async finish(): Promise<void> {
    // Once the result that is being computed is there; a consumer that is not asking keeps nobody waiting.
    await this.current?.work.return()
    this.current?.end()
    this.runner.dispose()
  }

  private checkOpen(): void {
    if (this.isClosed) throw new Error("this session is closed: open another one with model.createSession()")
  }

  /** Cuts the caches back to what they have of a prompt; the last token always runs. Returns how much that is. */
  private rewind(prompt: ArrayLike<number>): number {
    this.check(prompt)
    const common = Math.min(commonPrefix(this.tokens, prompt), prompt.length - 1)
    return common < this.runner.length ? this.runner.trim(common) : common
  }

  private check(prompt: ArrayLike<number>): void {
    const { vocab_size, max_context } = this.runner
    if (prompt.length === 0) throw new ParameterError("prompt", "at least one token", "none")
    // One more for the first token of the answer.
    if (prompt.length >= max_context) throw new ContextLengthError(prompt.length + 1, max_context)
    checkTokenIds("prompt", prompt, vocab_size)
  }
}

function commonPrefix(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let n = 0
  while (n < a.length && n < b.length && a[n] === b[n]) n++
  return n
}
