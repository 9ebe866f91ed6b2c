import type { Backend, LoadOptions } from "../backends/backend.js"
import type { LayerCache } from "../cache/layer_cache.js"
import type { Dim } from "../ir/dim.js"
import { ContextLengthError } from "./errors.js"
import type { DecodeOptions, Draw, ForwardOptions, ModelRunner } from "./model_runner.js"
import { runAhead, type Submitted } from "./run_ahead.js"
import {
  type CausalLM,
  decodingStep,
  feedDraw,
  promptRows,
  readDrawn,
  type Step,
  type StepKind,
  samplingOf,
  type Wanted,
} from "./step.js"
import { Steps } from "./steps.js"
import { checkTokenIds } from "./token_ids.js"

export interface RunnerOptions {
  /** Longest sequence, prompt and answer; the model's own limit by default. */
  readonly max_context?: number
  /** Tokens per prefill step; what suits the backend by default. */
  readonly prefill_chunk?: number
  /** Decoding steps submitted before the first one's token is read; what suits the backend by default. */
  readonly steps_ahead?: number
  /** False runs the traced graph as it is, without passes or memory reuse. */
  readonly optimise?: boolean
}

/** Runs a model on one sequence: traces a step per class of row counts once, then replays it over the KV caches. */
export class Runner implements ModelRunner {
  readonly vocab_size: number
  readonly max_context: number
  private readonly caches: readonly LayerCache[]
  private readonly steps: Steps
  private readonly chunk: number
  private readonly ahead: number
  private cached = 0

  constructor(
    model: CausalLM,
    private readonly backend: Backend,
    options: RunnerOptions = {},
  ) {
    this.vocab_size = model.config.vocab_size
    this.max_context = Math.min(options.max_context ?? Number.POSITIVE_INFINITY, model.config.max_position_embeddings)
    this.chunk = Math.min(options.prefill_chunk ?? backend.prefillChunk, this.max_context)
    this.ahead = options.steps_ahead ?? backend.replaysAhead
    this.caches = model.makeCaches(this.max_context, this.chunk, { dtype: backend.cacheDTypes[0] })
    this.steps = new Steps(model, this.caches, { device: backend, optimise: options.optimise })
  }

  /** Compiles the decoding step, which makes the weights resident: else the first token does it. */
  async prepare(options: LoadOptions = {}): Promise<void> {
    await this.steps.get(decodingStep({ replaysAhead: this.ahead }), options)
  }

  /** Tokens in the caches. */
  get length(): number {
    return this.cached
  }

  /**
   * Runs tokens after those in the caches: a prompt in chunks, or one decoded token.
   *
   * @returns the last token's logits, `[vocab_size]`, valid until the next call
   * @throws ContextLengthError, ParameterError (for ids beyond the vocabulary) before anything runs; the signal's reason between chunks, with the chunks so far cached
   */
  async forward(tokens: Uint32Array, options: ForwardOptions = {}): Promise<Float32Array> {
    let logits: Float32Array = new Float32Array()
    for await (const { step } of this.chunks(tokens, "last", options)) logits = await this.read(step, 1)
    return logits
  }

  /** As `forward`, yielding the logits of every token, `[rows, vocab_size]` a chunk, each valid until the next. */
  async *logits(tokens: Uint32Array, options: ForwardOptions = {}): AsyncGenerator<Float32Array> {
    for await (const { step, rows } of this.chunks(tokens, "all", options)) yield await this.read(step, rows)
  }

  /** See {@link ModelRunner.decode}: only where steps can be submitted ahead of their results. */
  get decode(): ModelRunner["decode"] {
    return this.runsAhead ? this.decodeAhead : undefined
  }

  private async *decodeAhead(tokens: Uint32Array, options: DecodeOptions): AsyncGenerator<number, void> {
    this.check(tokens)
    const start = this.cached + tokens.length
    const most = this.max_context - start + 1
    const count = Math.min(options.limit ?? most, most)
    if (options.limit !== undefined) await this.reserve(start + count - 1)
    let yielded = 0
    const submit = (i: number) => (i === 0 ? this.first(tokens, options) : this.next(options.draw, i))
    try {
      for await (const [id] of runAhead(this.ahead, count, submit)) {
        yielded++
        yield id
        options.signal?.throwIfAborted()
      }
    } finally {
      // What ran ahead of the last token is forgotten.
      this.trim(start + Math.max(0, yielded - 1))
    }
  }

  /** Keeps the first `n` tokens if the caches still can; returns how many were kept (`n`, or 0 after a reset). */
  trim(n: number): number {
    if (n >= this.cached) return this.cached
    if (!this.caches.every((cache) => cache.canResumeAt(n))) {
      this.reset()
      return 0
    }
    this.cached = n
    return n
  }

  /** Forgets the sequence; memory and compiled steps stay. */
  reset(): void {
    this.cached = 0
    for (const cache of this.caches) cache.reset()
  }

  /** Frees caches and compiled steps. The model's weights stay with the backend. */
  dispose(): void {
    this.steps.dispose()
    for (const cache of this.caches) for (const storage of cache.states) storage.dispose()
  }

  private get runsAhead(): boolean {
    return this.ahead > 1
  }

  private check(tokens: Uint32Array): void {
    const total = this.cached + tokens.length
    if (tokens.length === 0) throw new RangeError("forward needs at least one token")
    if (total > this.max_context) throw new ContextLengthError(total, this.max_context)
    checkTokenIds("tokens", tokens, this.vocab_size)
  }

  /** Runs tokens chunk by chunk; yields the steps that give something, each before the next one runs. */
  private async *chunks(tokens: Uint32Array, wanted: Wanted, { onProgress, signal }: ForwardOptions, draw?: Draw) {
    this.check(tokens)
    await this.reserve(this.cached + tokens.length)
    let running: Promise<void> | undefined
    for (let start = 0; start < tokens.length; start += this.chunk) {
      signal?.throwIfAborted()
      const ids = tokens.subarray(start, start + this.chunk)
      const isLast = start + this.chunk >= tokens.length
      const kind: StepKind =
        isLast || wanted === "all"
          ? { rows: this.rowsFor(ids), wanted, sampling: draw && samplingOf(draw) }
          : { rows: this.rowsFor(ids), wanted: "none" }
      const step = await this.steps.get(kind)
      step.ids.set(ids)
      await this.run(step, ids.length, draw, 0)
      // One chunk is submitted while another runs and no more, so that progress and the signal keep up.
      await running
      running = isLast ? undefined : this.caughtUp()
      onProgress?.(start + ids.length, tokens.length)
      if (kind.wanted !== "none") yield { step, rows: ids.length }
    }
  }

  private rowsFor(ids: Uint32Array): Dim {
    return promptRows(ids.length, this.backend, this.chunk)
  }

  /** When what was submitted so far has run. */
  private caughtUp(): Promise<void> {
    const fence = this.backend.fence()
    // Told where it is awaited.
    fence.catch(() => {})
    return fence
  }

  /** Submits tokens and the draw after them. */
  private async first(tokens: Uint32Array, options: DecodeOptions): Promise<Submitted<Uint32Array>> {
    // One step alone is yielded: that of the last chunk.
    const { value } = await this.chunks(tokens, "last", options, options.draw).next()
    return readDrawn(value!.step)
  }

  /** Submits the token drawn last and the draw after it, the `i`-th. */
  private async next(draw: Draw, i: number): Promise<Submitted<Uint32Array>> {
    await this.reserve(this.cached + 1)
    const step = await this.steps.get({ rows: 1, wanted: "last", sampling: samplingOf(draw), continues: true })
    await this.run(step, 1, draw, i)
    return readDrawn(step)
  }

  private async run(step: Step, rows: number, draw: Draw | undefined, i: number): Promise<void> {
    for (let row = 0; row < rows; row++) step.positions[row] = this.cached + row
    if (draw) feedDraw(step, draw, i)
    await step.replay(rows)
    this.cached += rows
    for (const cache of this.caches) cache.advance(this.cached)
  }

  /** Logits `[rows, vocab_size]`: where they are when the CPU can address them, else a copy. */
  private async read({ program }: Step, rows: number): Promise<Float32Array> {
    const { storage } = program.outputs[0]
    const view = storage.view()
    const length = rows * this.vocab_size
    if (view) return new Float32Array(view.buffer, view.byteOffset, length)
    const logits = new Float32Array(length)
    await storage.read(0, new Uint8Array(logits.buffer))
    return logits
  }

  private async reserve(length: number): Promise<void> {
    for (const cache of this.caches) {
      const replaced = cache.reserve(length)
      if (replaced.length === 0) continue
      // First, as they hold the old states, and as the new ones may not fit.
      this.steps.drop()
      await this.backend.makeResident(cache.states)
      for (const storage of replaced) storage.dispose()
    }
  }
}
