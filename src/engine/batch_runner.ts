import type { Backend } from "../backends/backend.js"
import type { LayerCache } from "../cache/layer_cache.js"
import { ContextLengthError } from "./errors.js"
import type { Draw } from "./model_runner.js"
import { runAhead, type Submitted } from "./run_ahead.js"
import { type CausalLM, feedDraw, promptRows, readDrawn, samplingOf, type Step } from "./step.js"
import { Steps } from "./steps.js"
import { checkTokenIds } from "./token_ids.js"

export interface BatchOptions {
  /** Sequences side by side. */
  readonly sequences: number
  /** Longest sequence, prompt and answer; at most what the model knows positions for. */
  readonly max_context: number
  /** Steps submitted before the first one's tokens are read; what suits the backend by default. */
  readonly steps_ahead?: number
}

/**
 * Several sequences of one model that decode together, one row each: a step reads the weights once for all of them.
 * Draws on the device.
 */
export class BatchRunner {
  readonly vocab_size: number
  /** The sequences' limit in tokens. */
  readonly max_context: number
  private readonly caches: readonly LayerCache[]
  private readonly steps: Steps
  private readonly chunk: number
  private readonly ahead: number
  private readonly lengths: number[]

  constructor(
    model: CausalLM,
    private readonly backend: Backend,
    options: BatchOptions,
  ) {
    const { sequences } = options
    const max_context = Math.min(options.max_context, model.config.max_position_embeddings)
    this.max_context = max_context
    this.vocab_size = model.config.vocab_size
    this.chunk = Math.min(backend.prefillChunk, max_context)
    this.ahead = options.steps_ahead ?? backend.replaysAhead
    this.caches = model.makeCaches(max_context, this.chunk, { dtype: backend.cacheDTypes[0], sequences })
    this.steps = new Steps(model, this.caches, { device: backend, sequences })
    this.lengths = new Array(sequences).fill(0)
  }

  /** Tokens in each sequence's caches. */
  get length(): readonly number[] {
    return this.lengths
  }

  /**
   * Appends a prompt to one sequence and draws the token after it.
   *
   * @param tokens at least one
   * @throws ContextLengthError, ParameterError (for ids beyond the vocabulary) before anything runs
   */
  async prefill(sequence: number, tokens: Uint32Array, draw: Draw): Promise<number> {
    if (tokens.length === 0) throw new RangeError("prefill needs at least one token")
    this.check(this.lengths[sequence] + tokens.length, tokens)
    const lastStart = Math.floor((tokens.length - 1) / this.chunk) * this.chunk
    for (let start = 0; start < lastStart; start += this.chunk) {
      const ids = tokens.subarray(start, start + this.chunk)
      const step = await this.steps.get({ rows: promptRows(ids.length, this.backend, this.chunk), wanted: "none" })
      await this.append(sequence, ids, step)
    }
    const ids = tokens.subarray(lastStart)
    const rows = promptRows(ids.length, this.backend, this.chunk)
    const step = await this.steps.get({ rows, wanted: "last", sampling: samplingOf(draw) })
    feedDraw(step, draw, 0)
    await this.append(sequence, ids, step)
    const [first] = await readDrawn(step).result
    return first
  }

  /**
   * Appends a token to every sequence, draws the next ones and goes on with those, `count` times. However it ends, the
   * caches then hold `ids` and the yielded ones but the last.
   *
   * @param ids `[sequences]`, usually those that the prefills drew
   * @param draw row s of step i takes the uniform number `(i + 1) * sequences + s`
   * @yields the drawn ids `[sequences]`, step by step
   * @throws ContextLengthError, ParameterError (for ids beyond the vocabulary) before anything runs
   */
  async *decode(ids: Uint32Array, count: number, draw: Draw): AsyncGenerator<Uint32Array, void> {
    const start = [...this.lengths]
    this.check(Math.max(...start) + count, ids)
    let yielded = 0
    try {
      for await (const drawn of runAhead(this.ahead, count, (i) => this.submit(i === 0 ? ids : null, draw, i))) {
        yielded++
        yield drawn
      }
    } finally {
      // What ran ahead is forgotten: those slots are written again.
      for (const [s, length] of start.entries()) this.lengths[s] = length + yielded
    }
  }

  /** Forgets all sequences; memory and compiled steps stay. */
  reset(): void {
    this.lengths.fill(0)
    for (const cache of this.caches) cache.reset()
  }

  /** Frees caches and compiled steps. The model's weights stay with the backend. */
  dispose(): void {
    this.steps.dispose()
    for (const cache of this.caches) for (const storage of cache.states) storage.dispose()
  }

  private check(length: number, tokens: Uint32Array): void {
    if (length > this.max_context) throw new ContextLengthError(length, this.max_context)
    checkTokenIds("tokens", tokens, this.vocab_size)
  }

  private async append(sequence: number, ids: Uint32Array, step: Step): Promise<void> {
    step.ids.set(ids)
    step.sequences.fill(sequence, 0, ids.length)
    for (let row = 0; row < ids.length; row++) step.positions[row] = this.lengths[sequence] + row
    await step.replay(ids.length)
    this.lengths[sequence] += ids.length
  }

  /** One row per sequence; the ids are those drawn by the step before unless given. */
  private async submit(ids: Uint32Array | null, draw: Draw, i: number): Promise<Submitted<Uint32Array>> {
    const sequences = this.lengths.length
    const step = await this.steps.get({ rows: sequences, wanted: "all", sampling: samplingOf(draw), continues: !ids })
    if (ids) step.ids.set(ids)
    for (let s = 0; s < sequences; s++) {
      step.sequences[s] = s
      step.positions[s] = this.lengths[s]
    }
    feedDraw(step, draw, (i + 1) * sequences)
    await step.replay(sequences)
    for (let s = 0; s < sequences; s++) this.lengths[s]++
    return readDrawn(step)
  }
}
