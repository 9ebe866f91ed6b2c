import { KvCapacityError } from "../cache/kv_errors.js"
import { NO_INDEX } from "../ir/specs/rows.js"
import type { Sequence } from "./sequence.js"
import type { StepRows } from "./step_rows.js"
import type { Flight, StepRunner } from "./step_runner.js"

/** A step under way, and whose rows it has. */
interface Submitted extends Flight {
  readonly parts: readonly Part[]
}

/** The rows of one sequence in a step. */
interface Part {
  readonly sequence: Sequence
  /** The first of the wanted rows that its next tokens come from; null where a prompt goes on. */
  readonly row: number | null
  /** What was guessed to follow: a wanted row each, after the first. */
  readonly draft: readonly number[]
  readonly byHost: boolean
  /** Positions computed with this step. */
  readonly computed: number
  /** The sequence's when it was submitted: after another one, the step counts for nothing. */
  readonly restarts: number
}

/** Steps of many rows that may be under way at once, so that progress and signals keep up. */
const CHUNKS_AHEAD = 2

/** What a step with a draft takes, in steps without, until it has been measured. */
const FIRST_DRAFT_COST = 1.5

/** What becomes of sequences that are over. */
export interface Endings {
  finish(sequence: Sequence): void
  fail(sequence: Sequence, error: unknown): void
}

/**
 * The steps under way. Each takes the next row of every sequence that decodes and fills up with chunks of the prompts that wait,
 * in equal shares, so that nobody stalls behind a long one.
 */
export class Flights {
  /** Found no page for its next rows: nothing more is submitted until somebody has given some back. */
  short: Sequence | null = null
  private readonly flights: Submitted[] = []
  /** When a step landed last, as long as there is always another. */
  private landedAt: number | null = null
  /** What decoding one sequence takes a step. */
  private plain_ms: number | null = null
  /** What one with a draft takes, in these. */
  private draftCost = FIRST_DRAFT_COST

  /**
   * @param rows for as many rows as a step has at most
   * @param ahead steps submitted before the first one's tokens are read
   * @param few rows of a step that is no chunk of a prompt
   */
  constructor(
    private readonly runner: StepRunner,
    private readonly rows: StepRows,
    private readonly ahead: number,
    private readonly few: number,
    private readonly over: Endings,
  ) {}

  get length(): number {
    return this.flights.length
  }

  /** Whether another step is worth submitting before the first one has landed. */
  get hasRoom(): boolean {
    if (this.short) return false
    const { length } = this.flights
    const hasChunk = this.flights.some(({ rows }) => rows > this.few)
    return length < this.ahead && !(hasChunk && length >= CHUNKS_AHEAD)
  }

  /** Submits a step of what is ready of these. @returns whether anything was */
  async submit(running: readonly Sequence[]): Promise<boolean> {
    const { rows } = this
    rows.clear()
    const parts: Part[] = []
    // In a larger batch the rows of a draft cost as much as those of others.
    const draftCost = running.length === 1 ? this.draftCost : null
    const ready = running.filter((sequence) => sequence.isReady(draftCost))
    for (const sequence of ready) if (sequence.rest <= 1) this.add(parts, sequence, 1, draftCost)
    // What short prompts leave of their share goes to the longer ones.
    const prompts = ready.filter(({ rest }) => rest > 1).sort((a, b) => a.rest - b.rest)
    for (const [i, sequence] of prompts.entries()) {
      this.add(parts, sequence, Math.ceil((rows.most - rows.rows) / (prompts.length - i)), null)
    }
    if (parts.length === 0) return false
    const flight = await this.runner.submit(rows)
    this.flights.push({ ...flight, parts })
    return true
  }

  /** Adds the next rows of a sequence, `most` at most, and wants a token of the last one where none is known after it. */
  private add(parts: Part[], sequence: Sequence, most: number, draftCost: number | null): void {
    const { rows } = this
    let known = Math.min(Math.max(sequence.rest, 1), most, rows.most - rows.rows)
    if (known < 1 || this.short) return
    let draft = sequence.draft(draftCost)
    while (!this.hasPages(sequence, known + draft.length)) {
      if (sequence.isOver) return
      if (known === 1 && draft.length === 0) {
        this.short = sequence
        return
      }
      // A shorter piece may fit: sliding windows hold what is computed at once beside what it sees.
      known = Math.ceil(known / 2)
      draft = []
    }
    const count = known + draft.length
    const isLast = known >= sequence.rest
    rows.add(sequence.kv!, sequence.computed, count, sequence.nextIds(known, draft))
    const choices = isLast ? sequence.nextChoices() : null
    const byHost = isLast && choices === null
    const first = count - 1 - draft.length
    const row = isLast ? rows.want({ lane: sequence.lane, choices, logits: byHost }, rows.rows - count + first) : null
    for (const i of draft.keys()) {
      // The tokens drawn are read before the next step, so that lanes do not matter.
      rows.want({ lane: NO_INDEX, choices: sequence.nextChoices(i + 1), logits: false }, rows.rows - draft.length + i)
    }
    sequence.submitted(count, isLast, byHost || draft.length > 0)
    parts.push({ sequence, row, draft, byHost, computed: sequence.computed, restarts: sequence.restarts })
  }

  /** Makes room for rows of a sequence. One for which there could never be room ends it. */
  private hasPages(sequence: Sequence, count: number): boolean {
    try {
      return sequence.kv!.extend(count)
    } catch (error) {
      if (count === 1 || !(error instanceof KvCapacityError)) this.over.fail(sequence, error)
      return false
    }
  }

  /** Waits for the first step under way, and takes what came of it. @returns whether there was one */
  async land(): Promise<boolean> {
    const flight = this.flights.shift()
    if (!flight) return false
    await flight.landed
    this.clock(flight)
    for (const part of flight.parts) {
      const { sequence, computed, restarts } = part
      if (sequence.isOver || sequence.restarts !== restarts) continue
      sequence.progressed(computed)
      try {
        this.take(flight, part)
      } catch (error) {
        this.over.fail(sequence, error)
      }
    }
    return true
  }

  /** Forgets what is under way, once it is over. */
  async drop(): Promise<void> {
    await Promise.allSettled(this.flights.splice(0).map(({ landed }) => landed))
  }

  /** There will be no next step for a while. */
  rest(): void {
    this.landedAt = null
  }

  /** Measures what the drafts of a sequence that runs alone cost: the time from landing to landing. */
  private clock({ parts, rows }: Submitted): void {
    const now = performance.now()
    const took = this.landedAt === null ? null : now - this.landedAt
    this.landedAt = now
    if (took === null || parts.length !== 1) return
    if (rows === 1) this.plain_ms = this.plain_ms === null ? took : this.plain_ms + (took - this.plain_ms) / 16
    else if (parts[0].draft.length > 0 && this.plain_ms !== null) {
      this.draftCost += (took / this.plain_ms - this.draftCost) / 4
    }
  }

  /** Takes the tokens that a sequence's rows drew, as far as what was guessed came true. */
  private take(flight: Flight, { sequence, row, draft, byHost, restarts }: Part): void {
    if (row === null) return
    for (let i = 0; i <= draft.length; i++) {
      const sampled = byHost ? sequence.drawFrom(flight.logitsOf(row)) : { token: flight.idOf(row + i) }
      if (sequence.take(sampled, byHost)) {
        this.over.finish(sequence)
        return
      }
      if (sampled.token !== draft[i] || sequence.restarts !== restarts) break
    }
    if (draft.length > 0) sequence.forget()
  }
}
