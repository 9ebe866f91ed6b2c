import type { Backend, LoadOptions } from "../backends/backend.js"
import type { KvStore } from "../cache/kv_store.js"
import { NO_INDEX } from "../ir/specs/rows.js"
import type { Storage } from "../tensor/storage.js"
import { LogitsError } from "./errors.js"
import { PageCopies } from "./page_copies.js"
import { type CausalLM, classOf, DECODING, type Step, type StepKind, type StepStates } from "./step.js"
import type { StepRows } from "./step_rows.js"
import { Steps } from "./steps.js"

/** A step that is submitted: what comes of its wanted rows. */
export interface Flight {
  readonly rows: number
  /** Resolves when the step has run and its results are here. */
  readonly landed: Promise<void>
  /** The id drawn for a wanted row. @throws {LogitsError} where nobody could draw */
  idOf(row: number): number
  /** The logits of a wanted row, f32 `[vocab_size]`. */
  logitsOf(row: number): Float32Array
}

/** Submits steps: chooses the program for the rows there are, and reads what is wanted of them. */
export class StepRunner {
  private readonly steps: Steps
  private readonly copies: PageCopies
  private readonly states: StepStates

  constructor(
    private readonly model: CausalLM,
    private readonly backend: Backend,
    private readonly store: KvStore,
    /** `[lanes]` uint32 */
    private readonly drawn: Storage,
    optimise?: boolean,
  ) {
    this.states = { store, drawn }
    this.steps = new Steps(model, this.states, { backend, optimise })
    this.copies = new PageCopies(store, backend)
  }

  /** Compiles the step that decodes, which makes the weights resident. */
  async prepare(options?: LoadOptions): Promise<void> {
    await this.steps.get(DECODING, options)
  }

  /** Copies the pages that are to be copied, then runs the rows. Resolves once they are submitted. */
  async submit(rows: StepRows): Promise<Flight> {
    await this.copies.run(this.store.takeCopies())
    const step = await this.steps.get(this.kindOf(rows))
    await step.program.replay(rows.inputs(step.inputs))
    return this.flightOf(step, rows)
  }

  async dispose(): Promise<void> {
    this.steps.dispose()
    await this.copies.dispose()
    this.drawn.dispose()
  }

  private kindOf({ rows, wanted, draws, logits }: StepRows): StepKind {
    const some = wanted.length === 0 ? "none" : classOf(wanted.length, this.backend, "wanted")
    return { rows: classOf(rows, this.backend), wanted: wanted.length === rows ? "all" : some, draws, logits }
  }

  /** Begins to read before the next step can be submitted, so that these are the results of this one. */
  private flightOf({ program, kind }: Step, { rows, wanted }: StepRows): Flight {
    const [drawn, logits] = kind.draws ? program.outputs : [null, ...program.outputs]
    const ids = new Uint32Array(kind.draws ? wanted.length : 0)
    const reads = [drawn?.storage.read(0, new Uint8Array(ids.buffer))]
    const read = new Map<number, Float32Array>()
    // Neighbours are read together.
    for (let row = 0, end = 0; row < wanted.length; row = end + 1) {
      for (end = row; end < wanted.length && wanted[end].logits; ) end++
      if (end === row) continue
      const { vocab_size } = this.model.config
      const values = new Float32Array((end - row) * vocab_size)
      for (let i = row; i < end; i++) read.set(i, values.subarray((i - row) * vocab_size, (i - row + 1) * vocab_size))
      reads.push(logits!.storage.read(row * vocab_size * 4, new Uint8Array(values.buffer)))
    }
    const landed = kind.wanted === "none" ? this.backend.fence() : Promise.all(reads).then(() => {})
    // Told where it is awaited.
    landed.catch(() => {})
    return {
      rows,
      landed,
      idOf: (row) => {
        if (ids[row] === NO_INDEX) throw new LogitsError()
        return ids[row]
      },
      logitsOf: (row) => read.get(row)!,
    }
  }
}
