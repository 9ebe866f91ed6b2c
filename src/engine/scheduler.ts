import type { Backend, LoadOptions } from "../backends/backend.js"
import { KvCapacityError } from "../cache/kv_errors.js"
import type { KvStore } from "../cache/kv_store.js"
import { Storage } from "../tensor/storage.js"
import { DeadlineError, QueueFullError } from "./errors.js"
import { Flights } from "./flights.js"
import { StepRunner } from "./step_runner.js"
import { Sequence, type SequenceRequest } from "./sequence.js"
import type { CausalLM } from "./step.js"
import { Swap } from "./swap.js"
import { StepRows } from "./step_rows.js"

/** Sequences that run at once at most, unless said otherwise. */
export function defaultSequences({ replaysAhead }: Pick<Backend, "replaysAhead">): number {
  return replaysAhead > 1 ? 64 : 16
}

export interface SchedulerOptions {
  /** Sequences that run at once at most; the others wait. See {@link defaultSequences}. */
  readonly max_sequences?: number
  /** Sequences that may wait. */
  readonly max_queue?: number
  /** Rows of a step at most; what suits the backend by default. */
  readonly prefill_chunk?: number
  /** Steps submitted before the first one's tokens are read; what suits the backend by default. */
  readonly steps_ahead?: number
  /** Bytes of the host's memory for sequences that wait for pages; beyond that, and by default, they are computed again. */
  readonly swap_memory?: number
  /** False runs the traced graph as it is, without passes or memory reuse. */
  readonly optimise?: boolean
}

/**
 * The only one who decides what a model runs: who is admitted, who goes on, and, when pages run out, who gives his own back: the
 * sequence that came last, which is swapped out or computed again later.
 */
export class Scheduler {
  readonly max_sequences: number
  readonly vocab_size: number
  /** Tokens of a sequence at most, prompt and answer together. */
  readonly max_context: number
  private readonly max_queue: number
  private readonly rows: StepRows
  private readonly swap: Swap
  private readonly runner: StepRunner
  private readonly lanes: number[]
  /** In the order in which they are admitted. */
  private readonly waiting: Sequence[] = []
  /** In the order in which they were admitted. */
  private readonly running: Sequence[] = []
  private readonly flights: Flights
  /** Pages ran out: nobody is admitted until a sequence gives some back. */
  private isFull = false
  /** Steps of others, done between those of the sequences. */
  private readonly jobs: (() => Promise<void>)[] = []
  private isRunning = false
  private loop = Promise.resolve()
  private wake: (() => void) | null = null
  /** Since the loop last looked for something to do. */
  private hasChanged = false
  private closed: Error | null = null

  constructor(
    private readonly model: CausalLM,
    backend: Backend,
    private readonly store: KvStore,
    options: SchedulerOptions = {},
  ) {
    const { vocab_size, max_position_embeddings } = model.config
    this.vocab_size = vocab_size
    this.max_context = Math.min(store.max_context, max_position_embeddings)
    this.max_sequences = options.max_sequences ?? defaultSequences(backend)
    this.max_queue = options.max_queue ?? 1024
    this.lanes = Array.from({ length: this.max_sequences }, (_, lane) => this.max_sequences - 1 - lane)
    const drawn = new Storage("drawn ids", "uint32", [this.max_sequences], null)
    this.swap = new Swap(store, options.swap_memory ?? 0)
    const chunk = Math.max(options.prefill_chunk ?? backend.prefillChunk, this.max_sequences)
    this.rows = new StepRows(chunk, { store, drawn }, vocab_size)
    this.runner = new StepRunner(model, backend, store, drawn, options.optimise)
    const ahead = options.steps_ahead ?? backend.replaysAhead
    this.flights = new Flights(this.runner, this.rows, ahead, this.max_sequences, {
      finish: (sequence) => this.finish(sequence),
      fail: (sequence, error) => this.fail(sequence, error),
    })
  }

  /** Compiles the step that decodes, which makes the weights resident: else the first token does it. */
  prepare(options?: LoadOptions): Promise<void> {
    return this.runner.prepare(options)
  }

  /** Sequences that run and that wait. */
  get load(): { readonly running: number; readonly waiting: number } {
    return { running: this.running.length, waiting: this.waiting.length }
  }

  /**
   * Has a sequence continued; its tokens come through `events`. Who leaves them early cancels it.
   *
   * @throws {QueueFullError} when too many wait already, {KvCapacityError} where even alone it would not fit the pool; an Error once the
   * scheduler is closed
   */
  submit(request: SequenceRequest): Sequence {
    if (this.closed) throw this.closed
    if (this.waiting.length >= this.max_queue) throw new QueueFullError(this.max_queue)
    this.store.requireFits(request.prompt.length + 1, 1)
    const sequence: Sequence = new Sequence(request, this.model.config.vocab_size, (hasLeft) => {
      if (hasLeft) this.finish(sequence)
      this.notify()
    })
    const { priority = 0, signal, timeout } = request
    const after = this.waiting.findIndex(({ request }) => (request.priority ?? 0) < priority)
    this.waiting.splice(after === -1 ? this.waiting.length : after, 0, sequence)
    const abort = () => this.fail(sequence, signal!.reason)
    signal?.addEventListener("abort", abort)
    const timer =
      timeout === undefined ? undefined : setTimeout(() => this.fail(sequence, new DeadlineError(timeout)), timeout)
    sequence.onOver = () => {
      signal?.removeEventListener("abort", abort)
      clearTimeout(timer)
    }
    if (signal?.aborted) abort()
    this.go()
    return sequence
  }

  /**
   * Does something with steps of one's own while none of the sequences' is under way.
   *
   * @param work given the runner, and rows to fill
   */
  between<T>(work: (runner: StepRunner, rows: StepRows, store: KvStore) => Promise<T>): Promise<T> {
    if (this.closed) return Promise.reject(this.closed)
    return new Promise((resolve, reject) => {
      this.jobs.push(async () => work(this.runner, this.rows, this.store).then(resolve, reject))
      this.go()
    })
  }

  /** Ends every sequence with an error and frees what was compiled. The store is the caller's. */
  async close(reason = new Error("the model is closed: load it again")): Promise<void> {
    this.closed ??= reason
    for (const sequence of [...this.waiting, ...this.running]) this.fail(sequence, reason)
    this.notify()
    await this.loop
    await this.runner.dispose()
  }

  private go(): void {
    this.notify()
    if (!this.isRunning) this.loop = this.run()
  }

  private async run(): Promise<void> {
    this.isRunning = true
    while (this.waiting.length + this.running.length + this.flights.length + this.jobs.length > 0) {
      await this.advance().catch((error: unknown) => this.abandon(error))
    }
    this.isRunning = false
  }

  /** Something has changed, so that there may be something to do. */
  private notify(): void {
    this.hasChanged = true
    this.wake?.()
  }

  private async advance(): Promise<void> {
    this.hasChanged = false
    await this.admit()
    if (this.jobs.length === 0 && this.flights.hasRoom && (await this.flights.submit(this.running))) return
    if (await this.flights.land()) return
    const { short } = this.flights
    if (this.jobs.length > 0) await this.jobs.shift()!()
    else if (short) await this.preempt(short)
    else await this.idle()
  }

  /** A step that fails takes its rows' pages with it: nobody knows what is in them. */
  private async abandon(error: unknown): Promise<void> {
    for (const sequence of [...this.waiting, ...this.running]) this.fail(sequence, error)
    await this.flights.drop()
    this.store.clear()
  }

  /** Until something changes, or has changed meanwhile: a reader takes a token, a sequence comes or leaves. */
  private idle(): Promise<void> {
    this.flights.rest()
    if (this.hasChanged) return Promise.resolve()
    return new Promise((resolve) => {
      this.wake = () => {
        this.wake = null
        resolve()
      }
    })
  }

  private async admit(): Promise<void> {
    while (this.waiting.length > 0 && this.lanes.length > 0 && !this.flights.short && !this.isFull) {
      const sequence = this.waiting.find((sequence) => !this.isComputing(sequence))
      if (!sequence) return
      const kv = await this.swap.open(sequence)
      // Meanwhile it may have been left.
      if (sequence.isOver) kv?.release()
      if (!kv || sequence.isOver) return
      this.waiting.splice(this.waiting.indexOf(sequence), 1)
      sequence.start(kv, this.lanes.pop()!)
      this.running.push(sequence)
    }
  }

  /** Whether the beginning of a sequence that is not cached yet is being computed for another: then it is worth waiting for. */
  private isComputing({ tokens }: Sequence): boolean {
    const { page_size } = this.store
    return this.running.some((other) => {
      if (other.drawn > 0 || other.computed >= other.tokens.length) return false
      const common = commonLength(tokens, other.tokens)
      return common >= page_size && common - this.store.lengthOf(tokens) >= page_size
    })
  }

  private async preempt(sequence: Sequence): Promise<void> {
    this.flights.short = null
    if (sequence.isOver) return
    const last = this.running[this.running.length - 1]
    if (this.running.length === 1) {
      this.fail(last, new KvCapacityError(last.tokens.length + 1, this.store.tokensThatFit(this.rows.most)))
      return
    }
    await this.swap.out(last)
    if (last.isOver) return
    this.leave(last)
    this.waiting.unshift(last)
    this.isFull = true
  }

  private fail(sequence: Sequence, error: unknown): void {
    sequence.events.fail(error)
    this.finish(sequence)
  }

  private finish(sequence: Sequence): void {
    if (sequence.isOver) return
    sequence.end()
    this.leave(sequence)
    this.swap.forget(sequence)
    this.notify()
    const at = this.waiting.indexOf(sequence)
    if (at !== -1) this.waiting.splice(at, 1)
  }

  /** Gives back what a running sequence holds. */
  private leave(sequence: Sequence): void {
    const at = this.running.indexOf(sequence)
    if (at === -1) return
    this.running.splice(at, 1)
    this.lanes.push(sequence.lane)
    sequence.stop()
    // What it gave back may do.
    this.isFull = false
    this.flights.short = null
  }
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  let n = 0
  while (n < a.length && n < b.length && a[n] === b[n]) n++
  return n
}
