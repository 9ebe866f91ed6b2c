import type { CancelSignal } from "../backends/backend.js"
import { ContextLengthError, ParameterError } from "./errors.js"
import { parseSamplingParams, type SamplingOptions } from "./sampling/params.js"
import type { DrawnToken, SequenceRequest } from "./sequence.js"
import type { TokenMask } from "../text/messages.js"
import type { SequenceRunner } from "./session.js"
import type { FinishReason } from "./stop.js"
import { checkTokenIds } from "./token_ids.js"

/** How long to generate and how to follow it. */
export interface GenerationOptions extends SamplingOptions {
  /** At most this many tokens. Left out: until the context is full. */
  readonly max_tokens?: number | null
  /** Rejects the iteration with the signal's reason. What was computed stays in the caches. */
  readonly signal?: CancelSignal
  /** Higher goes first; 0 by default. See `SequenceRequest`. */
  readonly priority?: number
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

/** What a generation takes beside what callers may say. */
export interface GenerationSetting {
  /** The tokens that may come. */
  readonly mask?: TokenMask
}

/**
 * The tokens of one answer, as they are drawn. Iterate once; stop early by leaving the loop.
 *
 *     const generation = new Generation(scheduler, prompt, stopTokens, { max_tokens: 64 })
 *     for await (const { token } of generation) ...
 *     generation.summary()
 */
export class Generation {
  private readonly request: SequenceRequest
  private sequence: ReturnType<SequenceRunner["submit"]> | null = null
  private finish_reason: FinishReason = "stop"
  private completion_tokens = 0

  /** @throws {ParameterError} when an option is out of range */
  constructor(
    private readonly runner: SequenceRunner,
    private readonly prompt: ArrayLike<number>,
    stopTokens: StopTokens,
    options: GenerationOptions = {},
    setting: GenerationSetting = {},
  ) {
    const { max_tokens, signal, priority, onProgress, ...sampling } = options
    if (priority !== undefined && !Number.isFinite(priority)) throw new ParameterError("priority", "a number", priority)
    if (max_tokens != null && !(Number.isSafeInteger(max_tokens) && max_tokens >= 1)) {
      throw new ParameterError("max_tokens", "a whole number, 1 or more", max_tokens)
    }
    this.request = {
      prompt,
      params: parseSamplingParams(sampling, runner.vocab_size),
      stopTokens,
      max_tokens: Math.min(max_tokens ?? Number.POSITIVE_INFINITY, runner.max_context - prompt.length),
      signal,
      priority,
      onProgress,
      ...setting,
    }
  }

  /**
   * @throws {ContextLengthError} when no room is left for an answer
   * @throws {ParameterError} when the prompt is empty or holds an id outside the vocabulary
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<DrawnToken, void, undefined> {
    checkPrompt(this.prompt, this.runner)
    this.sequence = this.runner.submit(this.request)
    for await (const drawn of this.sequence.events.read()) {
      this.completion_tokens++
      if (drawn.finish_reason) this.finish_reason = drawn.finish_reason
      yield drawn
      // What was drawn ahead is not told any more.
      this.request.signal?.throwIfAborted()
    }
  }

  /** What is known once the prompt is read. */
  start(): Pick<GenerationSummary, "prompt_tokens" | "cached_tokens"> {
    return { prompt_tokens: this.prompt.length, cached_tokens: this.sequence?.cached_tokens ?? 0 }
  }

  /** After the loop; a loop left early counts as "stop". */
  summary(): GenerationSummary {
    const { sequence, completion_tokens } = this
    const { prompt_tokens, cached_tokens } = this.start()
    const { admitted = 0, first = 0, last = 0, paused = 0 } = sequence?.times ?? {}
    const rate = (tokens: number, ms: number) => (tokens > 0 && ms > 0 ? (tokens * 1000) / ms : 0)
    return {
      finish_reason: this.finish_reason,
      prompt_tokens,
      cached_tokens,
      completion_tokens,
      prompt_tps: rate(prompt_tokens - cached_tokens, first - admitted),
      generation_tps: rate(completion_tokens - 1, last - first - paused),
      seed: sequence?.sampler.seed ?? 0,
    }
  }
}

function checkPrompt(prompt: ArrayLike<number>, { vocab_size, max_context }: SequenceRunner): void {
  if (prompt.length === 0) throw new ParameterError("prompt", "at least one token", "none")
  // One more for the first token of the answer.
  if (prompt.length >= max_context) throw new ContextLengthError(prompt.length + 1, max_context)
  checkTokenIds("prompt", prompt, vocab_size)
}
