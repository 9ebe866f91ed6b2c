import type { CancelSignal } from "../backends/backend.js"
import { ParameterError } from "./errors.js"
import type { Draw } from "./model_runner.js"
import { parseSamplingParams, type SamplingOptions } from "./sampling/params.js"
import { type Sampled, Sampler } from "./sampling/sampler.js"
import type { Session } from "./session.js"
import type { FinishReason } from "./stop.js"

/** How long to generate and how to follow it. */
export interface GenerationOptions extends SamplingOptions {
  /** At most this many tokens. Left out: until the context is full. */
  readonly max_tokens?: number | null
  /** Rejects the iteration, or the wait for its turn, with the signal's reason. What was computed stays in the caches. */
  readonly signal?: CancelSignal
  /** Prompt tokens run and to run, between chunks. */
  readonly onProgress?: (done: number, total: number) => void
}

/** Token ids that end a generation. They are part of the completion but not of its text. */
export type StopTokens = ReadonlySet<number>

/** What a generation did. Rates are tokens per second; the time a consumer takes between tokens does not count. */
export interface GenerationSummary {
  readonly finish_reason: FinishReason
  readonly prompt_tokens: number
  /** Prompt tokens found in the caches and not run again. */
  readonly cached_tokens: number
  /** Tokens sampled, the stop token included. */
  readonly completion_tokens: number
  /** Prompt tokens run, over the time until their logits. */
  readonly prompt_tps: number
  /** Tokens after the first, over the time spent running and sampling; 0 when there is only one. */
  readonly generation_tps: number
  /** The seed that reproduces this generation. */
  readonly seed: number
}

/** A sampled token; the last one says why it is the last. */
export interface GeneratedToken extends Sampled {
  readonly finish_reason?: FinishReason
}

/**
 * The loop: prefill, sample, run the sampled token, sample again. Iterate once; stop early by leaving the loop.
 *
 *     const generation = new Generation(session, prompt, stopTokens, { max_tokens: 64 })
 *     for await (const { token } of generation) ...
 *     generation.summary()
 */
export class Generation {
  private readonly sampler: Sampler
  private readonly limit: number
  private finish_reason: FinishReason = "stop"
  private cached_tokens = 0
  private completion_tokens = 0
  private prefill_ms = 0
  private decode_ms = 0

  /** @throws {ParameterError} when an option is out of range */
  constructor(
    private readonly session: Session,
    private readonly prompt: ArrayLike<number>,
    private readonly stopTokens: StopTokens,
    private readonly options: GenerationOptions = {},
  ) {
    const { max_tokens, signal: _signal, onProgress: _onProgress, ...sampling } = options
    if (max_tokens != null && !(Number.isSafeInteger(max_tokens) && max_tokens >= 1)) {
      throw new ParameterError("max_tokens", "a whole number, 1 or more", max_tokens)
    }
    const { vocab_size, max_context } = session.runner
    this.limit = Math.min(max_tokens ?? Number.POSITIVE_INFINITY, max_context - prompt.length)
    this.sampler = new Sampler(parseSamplingParams(sampling, vocab_size), vocab_size, prompt)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<GeneratedToken, void, undefined> {
    const sampled = this.sampler.draw && this.session.runner.decode ? this.onDevice(this.sampler.draw) : this.onHost()
    for await (const step of this.session.inTurn(sampled, this.options.signal)) {
      this.completion_tokens++
      const end = this.endAt(step.token)
      if (end) this.finish_reason = end
      yield end ? { ...step, finish_reason: end } : step
      if (end) return
    }
  }

  private endAt(token: number): FinishReason | undefined {
    if (this.stopTokens.has(token)) return "stop"
    return this.completion_tokens === this.limit ? "length" : undefined
  }

  /** Logits come to the host, which samples. */
  private async *onHost(): AsyncGenerator<Sampled, void> {
    const { session, options } = this
    let start = performance.now()
    const { logits: first, cached_tokens } = await session.prefill(this.prompt, options)
    this.prefill_ms = performance.now() - start
    this.cached_tokens = cached_tokens
    for (let logits = first; ; ) {
      start = performance.now()
      const sampled = this.sampler.next(logits)
      this.decode_ms += performance.now() - start
      yield sampled
      start = performance.now()
      logits = await session.append(Uint32Array.of(sampled.token), { signal: options.signal })
      this.decode_ms += performance.now() - start
    }
  }

  /** The device samples, some tokens ahead of the host. */
  private async *onDevice(draw: Draw): AsyncGenerator<Sampled, void> {
    const { session, prompt } = this
    const { signal, onProgress, max_tokens } = this.options
    let start = performance.now()
    let isFirst = true
    for await (const { token, cached_tokens } of session.decode(prompt, {
      draw,
      limit: max_tokens ?? undefined,
      signal,
      onProgress,
    })) {
      const elapsed = performance.now() - start
      if (isFirst) this.prefill_ms = elapsed
      else this.decode_ms += elapsed
      isFirst = false
      this.cached_tokens = cached_tokens
      yield { token }
      start = performance.now()
    }
  }

  /** After the loop; a loop left early counts as "stop". */
  summary(): GenerationSummary {
    const rate = (tokens: number, ms: number) => (tokens > 0 ? (tokens * 1000) / ms : 0)
    return {
      finish_reason: this.finish_reason,
      prompt_tokens: this.prompt.length,
      cached_tokens: this.cached_tokens,
      completion_tokens: this.completion_tokens,
      prompt_tps: rate(this.prompt.length - this.cached_tokens, this.prefill_ms),
      generation_tps: rate(this.completion_tokens - 1, this.decode_ms),
      seed: this.sampler.seed,
    }
  }
}
