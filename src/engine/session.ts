import type { CancelSignal } from "../backends/backend.js"
import type { Sequence, SequenceRequest } from "./sequence.js"

/** Who continues sequences: a scheduler, or a part of one. */
export interface SequenceRunner {
  readonly vocab_size: number
  /** Tokens of a sequence at most, prompt and answer together. */
  readonly max_context: number
  /** See `Scheduler.submit`. */
  submit(request: SequenceRequest): Pick<Sequence, "events" | "times" | "cached_tokens" | "sampler">
}

/** Some of the sequences of a scheduler, which end together. */
export class Session implements SequenceRunner {
  private readonly ending = new Ending()

  constructor(
    private readonly runner: SequenceRunner,
    readonly max_context: number,
  ) {}

  get vocab_size(): number {
    return this.runner.vocab_size
  }

  submit(request: SequenceRequest) {
    const { ending } = this
    ending.throwIfAborted()
    return this.runner.submit({ ...request, signal: request.signal ? anyOf(request.signal, ending) : ending })
  }

  /** Ends its sequences with an error; new ones are refused. What they computed stays in the pages. */
  close(): void {
    this.ending.abort(new Error("this session is closed: open another one with model.createSession()"))
  }
}

/** What an `AbortSignal` is, but for as many listeners as there are requests: Node warns of more than ten. */
class Ending implements CancelSignal {
  reason: unknown = undefined
  private readonly listeners = new Set<() => void>()

  get aborted(): boolean {
    return this.reason !== undefined
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason
  }

  addEventListener(_type: "abort", listener: () => void): void {
    this.listeners.add(listener)
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    this.listeners.delete(listener)
  }

  abort(reason: Error): void {
    if (this.aborted) return
    this.reason = reason
    for (const listener of [...this.listeners]) listener()
  }
}

/** Aborted when one of two is. Who listens does so to both, and is forgotten by both. */
function anyOf(a: CancelSignal, b: CancelSignal): CancelSignal {
  return {
    get aborted() {
      return a.aborted || b.aborted
    },
    get reason() {
      return a.aborted ? a.reason : b.reason
    },
    throwIfAborted() {
      a.throwIfAborted()
      b.throwIfAborted()
    },
    addEventListener(type, listener) {
      for (const signal of [a, b]) signal.addEventListener(type, listener)
    },
    removeEventListener(type, listener) {
      for (const signal of [a, b]) signal.removeEventListener(type, listener)
    },
  }
}
