import type { MxArray } from "../array/mx_array.js"
import type { Backend, LoadOptions } from "../backends/backend.js"
import type { LayerCache } from "../cache/layer_cache.js"
import { Storage } from "../tensor/storage.js"
import { ContextLengthError } from "./errors.js"
import type { DecodeOptions, Draw, ForwardOptions, ModelRunner } from "./model_runner.js"
import { type CausalLM, compileStep, readDrawn, type Step, type StepKind, samplingOf, type Wanted } from "./step.js"

export interface RunnerOptions {
  /** Longest sequence, prompt and answer; the model's own limit by default. */
  readonly max_context?: number
  /** Tokens per prefill step; what suits the backend by default. */
  readonly prefill_chunk?: number
  /** False runs the traced graph as it is, without passes or memory reuse. */
  readonly optimise?: boolean
}

/** Compiled steps kept: decoding, the prefill chunk, and the last few prompt remainders. */
const MAX_STEPS = 8

/** Runs a model on one sequence: traces a step per row count once, then replays it over the KV caches. */
export class Runner implements ModelRunner {
  readonly vocab_size: number
  readonly max_context: number
  private readonly caches: readonly LayerCache[]
  private readonly steps = new Map<string, Step>()
  private readonly chunk: number
  private readonly drawn = new Storage("drawn ids", "uint32", [1], null)
  private cached = 0

  constructor(
    private readonly model: CausalLM,
    private readonly backend: Backend,
    private readonly options: RunnerOptions = {},
  ) {
    this.vocab_size = model.config.vocab_size
    this.max_context = Math.min(options.max_context ?? Number.POSITIVE_INFINITY, model.config.max_position_embeddings)
    this.chunk = Math.min(options.prefill_chunk ?? backend.prefillChunk, this.max_context)
    this.caches = model.makeCaches(this.max_context, this.chunk, { dtype: backend.cacheDTypes[0] })
  }

  /** Compiles the decoding step, which makes the weights resident: else the first token does it. */
  async prepare(options: LoadOptions = {}): Promise<void> {
    const kind: StepKind = this.runsAhead
      ? { rows: 1, wanted: "last", sampling: "greedy", continues: true }
      : { rows: 1, wanted: "last" }
    await this.step(kind, options)
  }

  /** Tokens in the caches. */
  get length(): number {
    return this.cached
  }

  /**
   * Runs tokens after those in the caches: a prompt in chunks, or one decoded token.
   *
   * @returns the last token's logits, `[vocab_size]`, valid until the next call
   * @throws ContextLengthError before anything runs; the signal's reason between chunks, with the chunks so far cached
   */
  async forward(tokens: Uint32Array, options: ForwardOptions = {}): Promise<Float32Array> {
    let logits: Float32Array = new Float32Array()
    for await (const { program } of this.chunks(tokens, "last", options)) logits = await readLogits(program.outputs[0])
    return logits
  }

  /** As `forward`, yielding the logits of every token, `[rows, vocab_size]` a chunk, each valid until the next. */
  async *logits(tokens: Uint32Array, options: ForwardOptions = {}): AsyncGenerator<Float32Array> {
    for await (const { program } of this.chunks(tokens, "all", options)) yield await readLogits(program.outputs[0])
  }

  /** See {@link ModelRunner.decode}: only where steps can be submitted ahead of their results. */
  get decode(): ModelRunner["decode"] {
    return this.runsAhead ? this.decodeAhead : undefined
  }

  private async *decodeAhead(tokens: Uint32Array, options: DecodeOptions): AsyncGenerator<number, void> {
    const { draw, signal } = options
    const start = this.cached + tokens.length
    const limit = Math.min(options.limit ?? Number.POSITIVE_INFINITY, this.max_context - start + 1)
    if (Number.isFinite(options.limit)) await this.reserve(Math.min(start + limit - 1, this.max_context))
    const pending: Promise<Uint32Array>[] = []
    let submitted = 0
    let yielded = 0
    try {
      for await (const step of this.chunks(tokens, "last", options, draw)) {
        pending.push(readDrawn(step))
        submitted++
      }
      while (yielded < limit) {
        while (pending.length < this.backend.replaysAhead && submitted < limit) {
          const { ids } = await this.continue(draw, submitted++)
          pending.push(ids)
        }
        const [id] = await pending[0]
        pending.shift()
        yielded++
        yield id
        signal?.throwIfAborted()
      }
    } finally {
      // What ran ahead of the last token is forgotten; reads under way must end before the next step.
      await Promise.allSettled(pending)
      if (yielded > 0) this.trim(start + yielded - 1)
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
    this.dropSteps()
    this.drawn.dispose()
    for (const cache of this.caches) for (const storage of cache.states) storage.dispose()
  }

  private get runsAhead(): boolean {
    return this.backend.replaysAhead > 1
  }

  /** Runs tokens chunk by chunk; yields the steps that give something, each before the next one runs. */
  private async *chunks(tokens: Uint32Array, wanted: Wanted, { onProgress, signal }: ForwardOptions, draw?: Draw) {
    const total = this.cached + tokens.length
    if (tokens.length === 0) throw new RangeError("forward needs at least one token")
    if (total > this.max_context) throw new ContextLengthError(total, this.max_context)
    await this.reserve(total)
    for (let start = 0; start < tokens.length; start += this.chunk) {
      signal?.throwIfAborted()
      const ids = tokens.subarray(start, start + this.chunk)
      const isLast = start + this.chunk >= tokens.length
      const kind: StepKind =
        isLast || wanted === "all"
          ? { rows: ids.length, wanted, sampling: draw && samplingOf(draw) }
          : { rows: ids.length, wanted: "none" }
      const step = await this.step(kind)
      step.ids.set(ids)
      await this.run(step, draw, 0)
      onProgress?.(start + ids.length, tokens.length)
      if (kind.wanted !== "none") yield step
    }
  }

  /** Submits the step after a drawn token; the `i`-th token, which it draws, comes later. */
  private async continue(draw: Draw, i: number): Promise<{ ids: Promise<Uint32Array> }> {
    await this.reserve(this.cached + 1)
    const step = await this.step({ rows: 1, wanted: "last", sampling: samplingOf(draw), continues: true })
    await this.run(step, draw, i)
    return { ids: readDrawn(step) }
  }

  private async run(step: Step, draw: Draw | undefined, i: number): Promise<void> {
    const rows = step.positions.length
    for (let row = 0; row < rows; row++) step.positions[row] = this.cached + row
    if (draw && draw.temperature > 0) {
      step.temperature[0] = draw.temperature
      step.uniform[0] = draw.uniform(i)
    }
    await step.replay()
    this.cached += rows
    for (const cache of this.caches) cache.advance(this.cached)
  }

  /** The compiled step of a kind, from the most recently used ones or new. */
  private async step(kind: StepKind, options?: LoadOptions): Promise<Step> {
    const key = `${kind.rows} ${kind.wanted} ${kind.sampling} ${kind.continues}`
    const step = this.steps.get(key) ?? (await this.compile(kind, options))
    this.steps.delete(key)
    this.steps.set(key, step)
    const [oldest] = this.steps
    if (this.steps.size > MAX_STEPS) {
      this.steps.delete(oldest[0])
      oldest[1].program.dispose()
    }
    return step
  }

  private compile(kind: StepKind, options?: LoadOptions): Promise<Step> {
    const { optimise } = this.options
    return compileStep(kind, this.model, this.caches, this.drawn, false, { ...options, device: this.backend, optimise })
  }

  private async reserve(length: number): Promise<void> {
    for (const cache of this.caches) {
      const replaced = cache.reserve(length)
      if (replaced.length === 0) continue
      await this.backend.makeResident(cache.states)
      for (const storage of replaced) storage.dispose()
      this.dropSteps()
    }
  }

  private dropSteps(): void {
    for (const { program } of this.steps.values()) program.dispose()
    this.steps.clear()
  }
}

/** The bytes where they are when the CPU can address them, else a copy. */
async function readLogits({ storage }: MxArray): Promise<Float32Array> {
  const view = storage.view()
  if (view) return new Float32Array(view.buffer, view.byteOffset, view.byteLength / 4)
  const logits = new Float32Array(storage.byteLength / 4)
  await storage.read(0, new Uint8Array(logits.buffer))
  return logits
}
