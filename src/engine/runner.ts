import * as mx from "../array/mx.js"
import type { MxArray } from "../array/mx_array.js"
import type { CompiledFunction, InputSpecs } from "../array/transforms.js"
import type { Backend, LoadOptions } from "../backends/backend.js"
import type { Appendable, LayerCache } from "../cache/layer_cache.js"
import { ContextLengthError } from "./errors.js"
import type { ForwardOptions, ModelRunner } from "./model_runner.js"

/** What a causal language model offers the runner. */
export interface CausalLM {
  readonly config: { readonly vocab_size: number; readonly max_position_embeddings: number }
  /** Records one step: logits `[L - firstRow, vocab_size]`. */
  forward(ids: MxArray, positions: MxArray, caches: readonly Appendable[], firstRow: number): MxArray
  makeCaches(maxContext: number, maxRows: number): LayerCache[]
}

export interface RunnerOptions {
  /** Longest sequence, prompt and answer; the model's own limit by default. */
  readonly max_context?: number
  /** Tokens per prefill step. */
  readonly prefill_chunk?: number
  /** False runs the traced graph as it is, without passes or memory reuse. */
  readonly optimise?: boolean
}

/** Which logits a step is for: those of no row (early prefill chunks), of the last, or of all. */
type Wanted = "none" | "last" | "all"

interface Step {
  readonly program: CompiledFunction<StepInputs>
  readonly positions: Uint32Array
}

interface StepInputs extends InputSpecs {
  readonly ids: InputSpecs[string]
  readonly positions: InputSpecs[string]
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
  private cached = 0

  constructor(
    private readonly model: CausalLM,
    private readonly backend: Backend,
    private readonly options: RunnerOptions = {},
  ) {
    this.vocab_size = model.config.vocab_size
    this.max_context = Math.min(options.max_context ?? Number.POSITIVE_INFINITY, model.config.max_position_embeddings)
    this.chunk = options.prefill_chunk ?? 256
    this.caches = model.makeCaches(this.max_context, this.chunk)
  }

  /** Compiles the decoding step, which makes the weights resident: else the first token does it. */
  async prepare(options: LoadOptions = {}): Promise<void> {
    await this.step(1, "last", options)
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
    for await (const rows of this.chunks(tokens, "last", options)) logits = rows
    return logits
  }

  /** As `forward`, yielding the logits of every token, `[rows, vocab_size]` a chunk, each valid until the next. */
  logits(tokens: Uint32Array, options: ForwardOptions = {}): AsyncGenerator<Float32Array> {
    return this.chunks(tokens, "all", options)
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
    for (const cache of this.caches) for (const storage of cache.states) storage.dispose()
  }

  private async *chunks(tokens: Uint32Array, wanted: Wanted, { onProgress, signal }: ForwardOptions) {
    const total = this.cached + tokens.length
    if (tokens.length === 0) throw new RangeError("forward needs at least one token")
    if (total > this.max_context) throw new ContextLengthError(total, this.max_context)
    await this.reserve(total)
    for (let start = 0; start < tokens.length; start += this.chunk) {
      signal?.throwIfAborted()
      const ids = tokens.subarray(start, start + this.chunk)
      const isLast = start + this.chunk >= tokens.length
      const logits = await this.run(ids, isLast || wanted === "all" ? wanted : "none")
      onProgress?.(start + ids.length, tokens.length)
      if (logits) yield logits
    }
  }

  private async run(ids: Uint32Array, wanted: Wanted): Promise<Float32Array | null> {
    const { program, positions } = await this.step(ids.length, wanted)
    for (let row = 0; row < ids.length; row++) positions[row] = this.cached + row
    await program.replay({ ids, positions })
    this.cached += ids.length
    for (const cache of this.caches) cache.advance(this.cached)
    return wanted === "none" ? null : readLogits(program.outputs[0])
  }

  /** The compiled step for that many rows, from the most recently used ones or new. */
  private async step(rows: number, wanted: Wanted, options?: LoadOptions): Promise<Step> {
    const key = `${rows} ${wanted}`
    const step = this.steps.get(key) ?? (await this.compileStep(rows, wanted, options))
    this.steps.delete(key)
    this.steps.set(key, step)
    const [oldest] = this.steps
    if (this.steps.size > MAX_STEPS) {
      this.steps.delete(oldest[0])
      oldest[1].program.dispose()
    }
    return step
  }

  private async compileStep(rows: number, wanted: Wanted, options?: LoadOptions): Promise<Step> {
    const tokens = { shape: [rows], dtype: "uint32" } as const
    const program = await mx.compile<StepInputs>(
      { ids: tokens, positions: tokens },
      ({ ids, positions }) => {
        const effects: MxArray[] = []
        const caches = this.caches.map((cache) => ({
          append(...args: Parameters<LayerCache["append"]>) {
            const appended = cache.append(...args)
            effects.push(appended.keys, appended.values)
            return appended
          },
        }))
        const logits = this.model.forward(ids, positions, caches, wanted === "all" ? 0 : rows - 1)
        return { outputs: wanted === "none" ? [] : [logits], effects }
      },
      { ...options, device: this.backend, optimise: this.options.optimise },
    )
    return { program, positions: new Uint32Array(rows) }
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
