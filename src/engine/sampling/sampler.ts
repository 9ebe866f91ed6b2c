import type { Adjustment, RowChoices } from "../step_rows.js"
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
  /** Made when first needed: a device that draws needs neither. */
  private distribution: Distribution | undefined
  private adjusted: Float32Array | undefined
  private readonly scratch: Uint32Array
  private readonly seen = new Set<number>()
  private drawn = 0

  /** @param prompt counts for `repetition_penalty` */
  constructor(
    readonly params: SamplingParams,
    private readonly vocab_size: number,
    prompt: ArrayLike<number> = [],
  ) {
    this.seed = params.seed ?? randomSeed()
    this.random = new CounterRandom(this.seed)
    this.history = new TokenHistory(prompt)
    this.bias = new Map(Object.entries(params.logit_bias).map(([id, value]) => [Number(id), value]))
    this.scratch = new Uint32Array(params.top_logprobs)
  }

  /**
   * Samples the next token and remembers it. The n-th call uses the seed's n-th random number.
   *
   * @param logits f32 `[vocab_size]`, left as they are
   * @param allowed `[ceil(vocab_size / 32)]`: bit `id % 32` of word `id / 32` is set where the token may come; all by default
   * @throws {LogitsError} when nobody could sample from them
   */
  next(logits: Float32Array, allowed?: Uint32Array): Sampled {
    const token = this.choose(this.adjust(logits, allowed))
    this.history.append(token)
    if (!this.params.logprobs) return { token }
    const normalizer = logSumExp(logits)
    const logprob = logits[token] - normalizer
    if (this.params.top_logprobs === 0) return { token, logprob }
    return { token, logprob, top_logprobs: topLogprobs(logits, this.params.top_logprobs, normalizer, this.scratch) }
  }

  /** Takes a token that the device drew. */
  accept(token: number): void {
    this.history.append(token)
    if (this.params.temperature > 0) this.drawn++
  }

  /** Whether the next draw needs to know the tokens drawn before it. */
  get looksBack(): boolean {
    const { repetition_penalty, frequency_penalty, presence_penalty } = this.params
    return repetition_penalty !== 1 || frequency_penalty !== 0 || presence_penalty !== 0
  }

  /**
   * How a device chooses what `next` would: for the draw after `ahead` others that are not accepted yet. Null where the host has
   * to, as more is asked than the token.
   */
  choices(ahead: number): RowChoices | null {
    const { temperature, top_k, top_p, min_p, logprobs } = this.params
    if (logprobs) return null
    const uniform = temperature > 0 ? this.random.uniform(this.drawn + ahead) : 0
    const constraint = this.adjusts ? { adjustments: this.adjustments() } : undefined
    return { temperature, top_k, top_p, min_p, uniform, constraint }
  }

  private get adjusts(): boolean {
    return this.bias.size > 0 || this.looksBack
  }

  /** What `adjust` does, place by place. */
  private adjustments(): Adjustment[] {
    const { repetition_penalty, frequency_penalty, presence_penalty } = this.params
    const { generated } = this.history
    const penalized = repetition_penalty === 1 ? [] : this.recent()
    const ids = new Set([...this.bias.keys(), ...penalized, ...generated.keys()])
    const repeated = new Set(penalized)
    return [...ids].map((id) => {
      const count = generated.get(id)
      return {
        id,
        bias: this.bias.get(id) ?? 0,
        factor: repeated.has(id) ? repetition_penalty : 1,
        shift: count === undefined ? 0 : -(count * frequency_penalty + presence_penalty),
      }
    })
  }

  /** The tokens that a repetition penalty looks at. */
  private recent(): readonly number[] {
    const { tokens } = this.history
    return tokens.slice(Math.max(0, tokens.length - (this.params.repetition_context_size ?? tokens.length)))
  }

  private choose(logits: Float32Array): number {
    if (this.params.temperature === 0) return mostLikely(logits)
    this.distribution ??= new Distribution(this.vocab_size)
    this.distribution.fill(logits, this.params)
    return this.distribution.pick(this.random.uniform(this.drawn++))
  }

  private adjust(logits: Float32Array, allowed?: Uint32Array): Float32Array {
    if (!this.adjusts && !allowed) return logits
    this.adjusted ??= new Float32Array(this.vocab_size)
    const { repetition_penalty, repetition_context_size, frequency_penalty, presence_penalty } = this.params
    this.adjusted.set(logits)
    applyLogitBias(this.adjusted, this.bias)
    if (repetition_penalty !== 1) {
      const size = repetition_context_size ?? this.history.tokens.length
      applyRepetitionPenalty(this.adjusted, this.history.tokens, repetition_penalty, size, this.seen)
    }
    applyCountPenalties(this.adjusted, this.history.generated, frequency_penalty, presence_penalty)
    for (let id = 0; allowed && id < this.vocab_size; id++) {
      if (((allowed[id >> 5] >>> (id & 31)) & 1) === 0) this.adjusted[id] = Number.NEGATIVE_INFINITY
    }
    return this.adjusted
  }
}
