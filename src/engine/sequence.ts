import type { CancelSignal } from "../backends/backend.js"
import type { KvSequence } from "../cache/kv_sequence.js"
import { Channel } from "./channel.js"
import { Drafts } from "./drafts.js"
import { type Sampled, Sampler } from "./sampling/sampler.js"
import type { SamplingParams } from "./sampling/params.js"
import { ROW_ADJUSTMENTS } from "./step.js"
import type { RowChoices, RowIds } from "./step_rows.js"
import type { TokenMask } from "../text/messages.js"
import type { FinishReason } from "./stop.js"

/** What a caller wants continued. */
export interface SequenceRequest {
  /** At least one token. */
  readonly prompt: ArrayLike<number>
  readonly params: SamplingParams
  /** Ids that end the sequence; they are its last token. */
  readonly stopTokens: ReadonlySet<number>
  /** Tokens drawn at most. */
  readonly max_tokens: number
  readonly mask?: TokenMask
  /** False computes no guesses along with tokens: see `Drafts`. */
  readonly drafts?: boolean
  /** Higher goes first; 0 by default. Among equals, first come, first served. */
  readonly priority?: number
  /** Milliseconds until the sequence is ended with a `DeadlineError`; none by default. */
  readonly timeout?: number
  readonly signal?: CancelSignal
  /** Prompt tokens run and to run, chunk by chunk. */
  readonly onProgress?: (done: number, total: number) => void
}

/** A drawn token; the last one says why it is the last. */
export interface DrawnToken extends Sampled {
  readonly finish_reason?: FinishReason
}

/** Tokens that a reader may be behind before its sequence waits for it. */
const MOST_UNREAD = 16

/** When things happened to a sequence, in milliseconds of `performance.now()`. */
interface Times {
  submitted: number
  admitted: number
  first: number
  last: number
  /** How long it waited for its reader. */
  paused: number
}

/** One sequence of tokens on its way through the scheduler: what is known of it, and how far it has been computed. */
export class Sequence {
  readonly tokens: number[]
  readonly sampler: Sampler
  readonly events: Channel<DrawnToken>
  readonly times: Times = { submitted: performance.now(), admitted: 0, first: 0, last: 0, paused: 0 }
  /** Prompt tokens that were in the caches when it was first admitted. */
  cached_tokens: number | null = null
  /** Its pages while it runs. */
  kv: KvSequence | null = null
  /** Where the device keeps the token drawn last, while it runs. */
  lane = -1
  /** Positions whose computation is submitted. */
  computed = 0
  /** Tokens being drawn whose ids are not here yet: by the device, or by the host from logits. */
  pending = 0
  /** How often the mask changed with which tokens were drawn ahead, if any were: those are drawn again. */
  restarts = 0
  /** Whether the host draws the pending token. */
  private isHosts = false
  private readonly drafts: Drafts | null
  private pausedSince: number | null = null
  isOver = false
  /** Called once when it is over. */
  onOver: () => void = () => {}

  constructor(
    readonly request: SequenceRequest,
    vocab_size: number,
    onTaken: (hasLeft: boolean) => void,
  ) {
    this.tokens = Array.from(request.prompt)
    this.drafts = request.drafts === false ? null : new Drafts()
    this.sampler = new Sampler(request.params, vocab_size, request.prompt)
    this.events = new Channel((hasLeft) => {
      if (this.pausedSince !== null && this.events.length < MOST_UNREAD) {
        this.times.paused += performance.now() - this.pausedSince
        this.pausedSince = null
      }
      onTaken(hasLeft)
    })
  }

  get drawn(): number {
    return this.tokens.length - this.request.prompt.length
  }

  /** Tokens known and not yet computed: a prompt's rest, or the token drawn last. */
  get rest(): number {
    return this.tokens.length - this.computed
  }

  /** Whether there is a row to compute. @param draftCost see `draft` */
  isReady(draftCost: number | null): boolean {
    if (this.isOver || this.pausedSince !== null) return false
    if (this.rest > 0) return true
    const runsAhead = this.pending > 0 && !this.isHosts && !this.looksBack && !this.isDrafting(draftCost)
    return runsAhead && this.drawn + this.pending < this.request.max_tokens
  }

  /** Runs on pages that hold its first tokens already, or some of them. */
  start(kv: KvSequence, lane: number): void {
    this.kv = kv
    this.lane = lane
    this.computed = kv.length
    if (this.cached_tokens !== null) return
    this.cached_tokens = kv.length
    this.times.admitted = performance.now()
  }

  /** Gives its pages back; it may start again. */
  stop(): void {
    this.kv?.release()
    this.kv = null
    this.lane = -1
    this.computed = 0
  }

  /** Is over: no more tokens come. */
  end(): void {
    this.isOver = true
    this.events.end()
    this.onOver()
  }

  /** Notes that the first `computed` positions are in the pages, and tells how far the prompt is. */
  progressed(computed: number): void {
    const { prompt, onProgress } = this.request
    const kv = this.kv!
    const known = Math.min(computed, this.tokens.length)
    if (known > kv.committed) kv.commit(this.tokens.slice(kv.committed, known))
    const cached = this.cached_tokens!
    if (this.drawn === 0) onProgress?.(Math.min(computed, prompt.length) - cached, prompt.length - cached)
  }

  /**
   * Tokens that are worth computing along with the one known, as they may follow it.
   *
   * @param draftCost what a step with a draft takes, in steps without; null where there shall be none
   */
  draft(draftCost: number | null): readonly number[] {
    if (this.rest !== 1 || this.pending > 0 || this.drawn === 0 || !this.isDrafting(draftCost)) return []
    if (this.looksBack || this.sampler.choices(0) === null) return []
    return this.drafts!.next(this.tokens).slice(0, Math.max(0, this.request.max_tokens - this.drawn - 1))
  }

  private isDrafting(draftCost: number | null): boolean {
    return draftCost !== null && (this.drafts?.areWorth(draftCost) ?? false)
  }

  /** Forgets what was computed beyond the tokens known. */
  forget(): void {
    this.pending = 0
    this.computed = this.kv!.truncate(this.tokens.length - 1)
  }

  /** How the next row's draw goes, or that of a row so many after it; null where the host draws. */
  nextChoices(after = 0): RowChoices | null {
    const choices = this.sampler.choices(this.pending + after)
    if (!choices || (choices.constraint?.adjustments.length ?? 0) > ROW_ADJUSTMENTS) return null
    const { mask } = this.request
    if (!mask) return choices
    return { ...choices, constraint: { adjustments: [], ...choices.constraint, mask: mask.allowed() } }
  }

  /** Draws the pending token on the host. @param logits `[vocab_size]`, left as they are @throws {LogitsError} */
  drawFrom(logits: Float32Array): Sampled {
    return this.sampler.next(logits, this.request.mask?.allowed())
  }

  /** The ids of the next `count` rows, and of those of a draft. */
  nextIds(count: number, draft: readonly number[]): RowIds {
    if (this.rest <= 0) return { lane: this.lane }
    return { ids: [...this.tokens.slice(this.computed, this.computed + count), ...draft] }
  }

  /** Notes that `count` rows are submitted, the last of which draws a token or not. */
  submitted(count: number, draws: boolean, byHost: boolean): void {
    this.computed += count
    if (draws) this.pending++
    this.isHosts = byHost
  }

  /** Takes the token that was pending longest. @returns why the sequence is over with it, if it is */
  take({ token, ...rest }: Sampled, byHost: boolean): FinishReason | undefined {
    const { stopTokens, max_tokens, mask } = this.request
    this.pending--
    if (!byHost) this.sampler.accept(token)
    const hasChanged = mask?.steadyUntil?.has(token) ?? false
    mask?.accept(token)
    this.tokens.push(token)
    if (hasChanged) {
      this.restarts++
      if (this.pending > 0) this.forget()
    }
    this.drafts?.watch(this.tokens)
    this.times.last = performance.now()
    if (this.drawn === 1) this.times.first = this.times.last
    const finish_reason = stopTokens.has(token) ? "stop" : this.drawn === max_tokens ? "length" : undefined
    this.events.push({ token, ...rest, ...(finish_reason && { finish_reason }) })
    if (this.events.length >= MOST_UNREAD) this.pausedSince ??= performance.now()
    return finish_reason
  }

  private get looksBack(): boolean {
    const { mask } = this.request
    return (mask !== undefined && !mask.steadyUntil) || this.sampler.looksBack
  }
}
