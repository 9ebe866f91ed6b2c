import type { Backend, LoadOptions } from "../backends/backend.js"
import type { LayerCache } from "../cache/layer_cache.js"
import { Storage } from "../tensor/storage.js"
import { ContextLengthError } from "./errors.js"
import type { Draw } from "./model_runner.js"
import { type CausalLM, compileStep, readDrawn, type Step, type StepKind, samplingOf } from "./step.js"

export interface BatchOptions {
  /** Sequences side by side. */
  readonly sequences: number
  /** Longest sequence, prompt and answer. */
  readonly max_context: number
}

/**
 * Several sequences of one model that decode together, one row each: a step reads the weights once for all of them.
 * Draws on the device.
 */
export class BatchRunner {
  readonly vocab_size: number
  private readonly caches: readonly LayerCache[]
  private readonly steps = new Map<string, Step>()
  private readonly chunk: number
  private readonly drawn: Storage
  private readonly lengths: number[]

  constructor(
    private readonly model: CausalLM,
    private readonly backend: Backend,
    private readonly options: BatchOptions,
  ) {
    const { sequences, max_context } = options
    this.vocab_size = model.config.vocab_size
    this.chunk = Math.min(backend.prefillChunk, max_context)
    this.caches = model.makeCaches(max_context, this.chunk, { dtype: backend.cacheDTypes[0], sequences })
    this.drawn = new Storage("drawn ids", "uint32", [sequences], null)
    this.lengths = new Array(sequences).fill(0)
  }

  /** Tokens in each sequence's caches. */
  get length(): readonly number[] {
    return this.lengths
  }

  /**
   * Appends a prompt to one sequence and draws the token after it.
   *
   * @throws ContextLengthError before anything runs
   */
  async prefill(sequence: number, tokens: Uint32Array, draw: Draw): Promise<number> {
    const total = this.lengths[sequence] + tokens.length
    if (total > this.options.max_context) throw new ContextLengthError(total, this.options.max_context)
    let first = 0
    for (let start = 0; start < tokens.length; start += this.chunk) {
      const ids = tokens.subarray(start, start + this.chunk)
      const isLast = start + ids.length === tokens.length
      const sampling = samplingOf(draw)
      const step = await this.step({
        rows: ids.length,
        ...(isLast ? { wanted: "last", sampling } : { wanted: "none" }),
      })
      step.ids.set(ids)
      step.sequences.fill(sequence)
      for (let row = 0; row < ids.length; row++) step.positions[row] = this.lengths[sequence] + row
      this.feed(step, draw, 0)
      await step.replay()
      this.lengths[sequence] += ids.length
      for (const cache of this.caches) cache.advance(this.lengths[sequence])
      if (isLast) [first] = await readDrawn(step)
    }
    return first
  }

  /**
   * Appends a token to every sequence, draws the next ones and goes on with those, `steps` times.
   *
   * @param ids `[sequences]`, usually those that the prefills drew
   * @yields the drawn ids `[sequences]`, step by step
   * @throws ContextLengthError before anything runs
   */
  async *decode(ids: Uint32Array, steps: number, draw: Draw): AsyncGenerator<Uint32Array, void> {
    const longest = Math.max(...this.lengths) + steps
    if (longest > this.options.max_context) throw new ContextLengthError(longest, this.options.max_context)
    const pending: Promise<Uint32Array>[] = []
    let submitted = 0
    try {
      for (let yielded = 0; yielded < steps; yielded++) {
        while (pending.length < this.backend.replaysAhead && submitted < steps) {
          pending.push((await this.submit(submitted === 0 ? ids : null, draw, submitted + 1)).ids)
          submitted++
        }
        const drawn = await pending[0]
        pending.shift()
        yield drawn
      }
    } finally {
      await Promise.allSettled(pending)
    }
  }

  /** Forgets all sequences; memory and compiled steps stay. */
  reset(): void {
    this.lengths.fill(0)
    for (const cache of this.caches) cache.reset()
  }

  dispose(): void {
    for (const { program } of this.steps.values()) program.dispose()
    this.drawn.dispose()
    for (const cache of this.caches) for (const storage of cache.states) storage.dispose()
  }

  /** One row per sequence; the ids are those drawn by the step before unless given. */
  private async submit(ids: Uint32Array | null, draw: Draw, i: number): Promise<{ ids: Promise<Uint32Array> }> {
    const { sequences } = this.options
    const step = await this.step({ rows: sequences, wanted: "all", sampling: samplingOf(draw), continues: !ids })
    if (ids) step.ids.set(ids)
    for (let s = 0; s < sequences; s++) {
      step.sequences[s] = s
      step.positions[s] = this.lengths[s]++
    }
    this.feed(step, draw, i * sequences)
    await step.replay()
    for (const cache of this.caches) cache.advance(Math.max(...this.lengths))
    return { ids: readDrawn(step) }
  }

  private feed(step: Step, { temperature, uniform }: Draw, first: number): void {
    if (temperature === 0) return
    step.temperature[0] = temperature
    for (let row = 0; row < step.uniform.length; row++) step.uniform[row] = uniform(first + row)
  }

  private async step(kind: StepKind, options?: LoadOptions): Promise<Step> {
    const key = `${kind.rows} ${kind.wanted} ${kind.sampling} ${kind.continues}`
    let step = this.steps.get(key)
    if (!step) {
      step = await compileStep(kind, this.model, this.caches, this.drawn, true, { ...options, device: this.backend })
      this.steps.set(key, step)
    }
    return step
  }
}
