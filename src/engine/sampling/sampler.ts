import type { Draw } from "../model_runner.js"
import { Distribution, mostLikely } from "./distribution.js"
import { logSumExp, type TokenLogprob, topLogprobs } from "./logprobs.js"
import type { SamplingParams } from "./params.js"
import { applyCountPenalties, applyLogitBias, applyRepetitionPenalty, TokenHistory } from "./penalties.js"
import { CounterRandom, randomSeed } from "./random.js"

/** One sampled token. */
export interface Sampled {
  readonly token: number
  /**
   * Natural-log probability of the token, with `logprobs`: log-softmax of the model's own logits, before bias, penalties,
   * temperature and filters, so it says what the model thought and not what the settings made of it.
   */
  readonly logprob?: number
  /** With `top_logprobs`: the most likely tokens, most likely first. */
  readonly top_logprobs?: readonly TokenLogprob[]
}

/**
 * Chooses the tokens of one sequence. Buffers of vocabulary size are allocated once.
 *
 *     const sampler = new Sampler(parseSamplingParams({ temperature: 0.8, seed: 7 }), runner.vocab_size, prompt)
 *     const { token } = sampler.next(logits)
 */
export class Sampler {
  /** The given seed, or the one drawn in its place. */
  readonly seed: number
  private readonly history: TokenHistory
  private readonly random: CounterRandom
  private readonly bias: ReadonlyMap<number, number>
  private readonly distribution: Distribution | undefined
  private readonly adjusted: Float32Array | undefined
  private readonly scratch: Uint32Array
  private readonly seen = new Set<number>()
  private drawn = 0

  /** @param prompt counts for `repetition_penalty` */
  constructor(
    readonly params: SamplingParams,
    vocab_size: number,
    prompt: ArrayLike<number> = [],
  ) {
    this.seed = params.seed ?? randomSeed()
    this.random = new CounterRandom(this.seed)
    this.history = new TokenHistory(prompt)
    this.bias = new Map(Object.entries(params.logit_bias).map(([id, value]) => [Number(id), value]))
    if (params.temperature > 0) this.distribution = new Distribution(vocab_size)
    const adjusts =
      this.bias.size > 0 ||
      params.repetition_penalty !== 1 ||
      params.frequency_penalty !== 0 ||
      params.presence_penalty !== 0
    if (adjusts) this.adjusted = new Float32Array(vocab_size)
    this.scratch = new Uint32Array(params.top_logprobs)
  }

  /**
   * Samples the next token and remembers it. The n-th call uses the seed's n-th random number.
   *
   * @param logits f32 `[vocab_size]`, left as they are
   * @throws {LogitsError} when nobody could sample from them
   */
  next(logits: Float32Array): Sampled {
    const token = this.choose(this.adjust(logits))
    this.history.append(token)
    if (!this.params.logprobs) return { token }
    const normalizer = logSumExp(logits)
    const logprob = logits[token] - normalizer
    if (this.params.top_logprobs === 0) return { token, logprob }
    return { token, logprob, top_logprobs: topLogprobs(logits, this.params.top_logprobs, normalizer, this.scratch) }
  }

  /** The same choice as a device can make it, which gives the same tokens; undefined where the parameters ask for more. */
  get draw(): Draw | undefined {
    const { temperature, top_k, top_p, min_p, logprobs } = this.params
    if (this.adjusted || logprobs || (temperature > 0 && (top_k > 0 || top_p < 1 || min_p > 0))) return undefined
    return { temperature, uniform: (i) => this.random.uniform(i) }
  }

  private choose(logits: Float32Array): number {
    if (!this.distribution) return mostLikely(logits)
    this.distribution.fill(logits, this.params)
    return this.distribution.pick(this.random.uniform(this.drawn++))
  }

  private adjust(logits: Float32Array): Float32Array {
    if (!this.adjusted) return logits
    const { repetition_penalty, repetition_context_size, frequency_penalty, presence_penalty } = this.params
    this.adjusted.set(logits)
    applyLogitBias(this.adjusted, this.bias)
    if (repetition_penalty !== 1) {
      const size = repetition_context_size ?? this.history.tokens.length
      applyRepetitionPenalty(this.adjusted, this.history.tokens, repetition_penalty, size, this.seen)
    }
    applyCountPenalties(this.adjusted, this.history.generated, frequency_penalty, presence_penalty)
    return this.adjusted
  }
}
