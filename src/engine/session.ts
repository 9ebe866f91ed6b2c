import { anyOf, Ending } from "./ending.js"
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
