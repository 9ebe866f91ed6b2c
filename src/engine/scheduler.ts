import type { Backend, LoadOptions } from "../backends/backend.js"
import { KvCapacityError } from "../cache/kv_errors.js"
import type { KvStore } from "../cache/kv_store.js"
import { Storage } from "../tensor/storage.js"
import { DeadlineError, QueueFullError } from "./errors.js"
import { type Flight, StepRunner } from "./step_runner.js"
import { Sequence, type SequenceRequest } from "./sequence.js"
import type { CausalLM } from "./step.js"
import { StepRows } from "./step_rows.js"

export interface SchedulerOptions {
  /** Sequences that run at once at most; the others wait. */
  readonly max_sequences?: number
  /** Sequences that may wait. */
  readonly max_queue?: number
  /** Rows of a step at most; what suits the backend by default. */
  readonly prefill_chunk?: number
  /** Steps submitted before the first one's tokens are read; what suits the backend by default. */
  readonly steps_ahead?: number
  /** False runs the traced graph as it is, without passes or memory reuse. */
  readonly optimise?: boolean
}

/** A step under way, and whose rows it has. */
interface Submitted extends Flight {
  readonly parts: readonly Part[]
}

/** The rows of one sequence in a step. */
interface Part {
  readonly sequence: Sequence
  /** The row of those wanted that its next token comes from; null where a prompt goes on. */
  readonly row: number | null
  readonly byHost: boolean
  /** Positions computed with this step. */
  readonly computed: number
}

/** Steps of many rows that may be under way at once, so that progress and signals keep up. */
const CHUNKS_AHEAD = 2

/**
 * The only one who decides what a model runs. Each step takes the next row of every sequence that decodes and fills up with
 * chunks of the prompts that wait, in equal shares, so that nobody stalls behind a long one. When pages run out, the sequence that
 * came last gives its own back and is computed again later.
 */
export class Scheduler {
  readonly max_sequences: number
  readonly vocab_size: number
  /** Tokens of a sequence at most, prompt and answer together. */
  readonly max_context: number
  private readonly max_queue: number
  private readonly ahead: number
  private readonly chunk: number
  private readonly rows: StepRows
  private readonly runner: StepRunner
  private readonly lanes: number[]
  /** In the order in which they are admitted. */
  private readonly waiting: Sequence[] = []
  /** In the order in which they were admitted. */
  private readonly running: Sequence[] = []
  private readonly flights: Submitted[] = []
  /** Pages ran out: nobody is admitted until a sequence gives some back. */
  private isFull = false
  /** Found no page for its next rows. */
  private short: Sequence | null = null
  /** Steps of others, done between those of the sequences. */
  private readonly jobs: (() => Promise<void>)[] = []
  private isRunning = false
  private loop = Promise.resolve()
  private wake: (() => void) | null = null
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
    this.max_sequences = options.max_sequences ?? Math.min(64, backend.prefillChunk)
    this.max_queue = options.max_queue ?? 1024
    this.ahead = options.steps_ahead ?? backend.replaysAhead
    this.chunk = Math.max(options.prefill_chunk ?? backend.prefillChunk, this.max_sequences)
    this.lanes = Array.from({ length: this.max_sequences }, (_, lane) => this.max_sequences - 1 - lane)
    const drawn = new Storage("drawn ids", "uint32", [this.max_sequences], null)
    this.rows = new StepRows(this.chunk, { store, drawn }, vocab_size)
    this.runner = new StepRunner(model, backend, store, drawn, options.optimise)
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
   * @throws {QueueFullError} when too many wait already; an Error once the scheduler is closed
   */
  submit(request: SequenceRequest): Sequence {
    if (this.closed) throw this.closed
    if (this.waiting.length >= this.max_queue) throw new QueueFullError(this.max_queue)
    const sequence: Sequence = new Sequence(request, this.model.config.vocab_size, (hasLeft) => {
      if (hasLeft) this.finish(sequence)
      this.wake?.()
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
    this.wake?.()
    await this.loop
    await this.runner.dispose()
  }

  private go(): void {
    this.wake?.()
    if (!this.isRunning) this.loop = this.run()
  }

  private async run(): Promise<void> {
    this.isRunning = true
    while (this.waiting.length + this.running.length + this.flights.length + this.jobs.length > 0) {
      await this.advance().catch((error: unknown) => this.abandon(error))
    }
    this.isRunning = false
  }

  private async advance(): Promise<void> {
    this.admit()
    if (this.mayFly() && (await this.fly())) return
    const flight = this.flights.shift()
    if (flight) await this.land(flight)
    else if (this.jobs.length > 0) await this.jobs.shift()!()
    else if (this.short) this.preempt(this.short)
    else await this.idle()
  }

  /** A step that fails takes its rows' pages with it: nobody knows what is in them. */
  private async abandon(error: unknown): Promise<void> {
    for (const sequence of [...this.waiting, ...this.running]) this.fail(sequence, error)
    await Promise.allSettled(this.flights.splice(0).map(({ landed }) => landed))
    this.store.clear()
  }

  /** Until something changes: a reader takes a token, a sequence comes or leaves. */
  private idle(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = () => {
        this.wake = null
        resolve()
      }
    })
  }

  private admit(): void {
    while (this.waiting.length > 0 && this.lanes.length > 0 && !this.short && !this.isFull) {
      const [sequence] = this.waiting
      if (this.isComputing(sequence)) return
      this.waiting.shift()
      sequence.start(this.store.open(sequence.tokens), this.lanes.pop()!)
      this.running.push(sequence)
    }
  }

  /** Whether the beginning of a sequence that is not cached yet is being computed for another: then it is worth waiting for. */
  private isComputing({ tokens }: Sequence): boolean {
    const cached = this.store.lengthOf(tokens)
    return this.running.some((other) => {
      if (other.drawn > 0 || other.computed >= other.tokens.length) return false
      return commonLength(tokens, other.tokens) - cached >= this.store.page_size
    })
  }

  private mayFly(): boolean {
    if (this.short || this.jobs.length > 0) return false
    const { length } = this.flights
    const hasChunk = this.flights.some(({ rows }) => rows > this.max_sequences)
    return length < this.ahead && !(hasChunk && length >= CHUNKS_AHEAD)
  }

  /** Submits a step of what is ready. @returns whether anything was */
  private async fly(): Promise<boolean> {
    const { rows } = this
    rows.clear()
    const parts: Part[] = []
    const ready = this.running.filter(({ isReady }) => isReady)
    for (const sequence of ready) if (sequence.rest <= 1) this.add(parts, sequence, 1)
    // What short prompts leave of their share goes to the longer ones.
    const prompts = ready.filter(({ rest }) => rest > 1).sort((a, b) => a.rest - b.rest)
    for (const [i, sequence] of prompts.entries()) {
      this.add(parts, sequence, Math.ceil((this.chunk - rows.rows) / (prompts.length - i)))
    }
    if (parts.length === 0) return false
    const flight = await this.runner.submit(rows)
    this.flights.push({ ...flight, parts })
    return true
  }

  /** Adds the next rows of a sequence, `most` at most, and wants a token of the last one where none is known after it. */
  private add(parts: Part[], sequence: Sequence, most: number): void {
    const { rows } = this
    const count = Math.min(Math.max(sequence.rest, 1), most, this.chunk - rows.rows)
    if (count < 1 || this.short) return
    try {
      if (!sequence.kv!.extend(count)) this.short = sequence
    } catch (error) {
      this.fail(sequence, error)
    }
    if (this.short || sequence.isOver) return
    const isLast = count >= sequence.rest
    rows.add(sequence.kv!, sequence.computed, count, sequence.nextIds(count))
    const choices = isLast ? sequence.nextChoices() : null
    const byHost = isLast && choices === null
    const row = isLast ? rows.want({ lane: sequence.lane, choices, logits: byHost }) : null
    sequence.submitted(count, isLast, byHost)
    parts.push({ sequence, row, byHost, computed: sequence.computed })
  }

  private async land(flight: Submitted): Promise<void> {
    await flight.landed
    for (const { sequence, row, byHost, computed } of flight.parts) {
      if (sequence.isOver) continue
      sequence.progressed(computed)
      if (row === null) continue
      try {
        const sampled = byHost ? sequence.sampler.next(flight.logitsOf(row)) : { token: flight.idOf(row) }
        if (sequence.take(sampled, byHost)) this.finish(sequence)
      } catch (error) {
        this.fail(sequence, error)
      }
    }
  }

  private preempt(sequence: Sequence): void {
    this.short = null
    if (sequence.isOver) return
    const last = this.running[this.running.length - 1]
    if (this.running.length === 1) {
      this.fail(last, new KvCapacityError(last.tokens.length + 1, this.store.tokensThatFit(this.chunk)))
      return
    }
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
    this.isFull = false
  }
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  let n = 0
  while (n < a.length && n < b.length && a[n] === b[n]) n++
  return n
}
