import type { Answered, ErrorData, FromModel } from "./wire.js"

/**
 * Milliseconds between messages at least. A message costs both processes some 50 us, which a small model with a thousand tokens a second
 * would feel; a reader does not feel the wait.
 */
const PAUSE = 4

/** Gathers what came of all calls, and sends it as one message. */
export class Outbox {
  private answers = new Map<number, Answered>()
  private lastSent = Number.NEGATIVE_INFINITY
  private timer: ReturnType<typeof setTimeout> | null = null
  private isLeaving = false

  constructor(private readonly send: (message: FromModel) => void) {}

  /** Goes out with this turn of the event loop, or soon where another message has just left. */
  value(id: number, value: unknown): void {
    this.of(id).values.push(value)
    if (this.isLeaving || this.timer !== null) return
    const wait = this.lastSent + PAUSE - performance.now()
    if (wait <= 0) this.leave()
    else this.timer = setTimeout(() => this.flush(), wait)
  }

  /** Whoever waits for the end of a call waits no longer. */
  end(id: number, end: "done" | ErrorData): void {
    this.of(id).end = end
    if (!this.isLeaving) this.leave()
  }

  private of(id: number): Answered {
    const answered = this.answers.get(id) ?? { id, values: [] }
    this.answers.set(id, answered)
    return answered
  }

  private leave(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    this.isLeaving = true
    setImmediate(() => this.flush())
  }

  private flush(): void {
    this.isLeaving = false
    this.timer = null
    this.send({ type: "answers", answers: [...this.answers.values()] })
    this.answers = new Map()
    this.lastSent = performance.now()
  }
}
