/** Milliseconds of the past that a rate is taken over. */
const WINDOW = 10_000

/** The least milliseconds from one mark to the next. */
const STEP = 100

/** How fast something gets on, lately. */
export class RateMeter {
  private readonly marks: { readonly at: number; readonly done: number }[] = []

  /** @param now milliseconds of a clock that never goes back */
  add(done: number, now = performance.now()): void {
    const last = this.marks.at(-1)
    // What is begun anew has not got on backwards.
    if (last !== undefined && done < last.done) this.marks.length = 0
    const before = this.marks.at(-2)
    if (before !== undefined && now - before.at < STEP) this.marks.pop()
    this.marks.push({ at: now, done })
    while (this.marks.length > 2 && now - this.marks[1].at > WINDOW) this.marks.shift()
  }

  /** Per second; undefined until that can be said. */
  perSecond(): number | undefined {
    const [first, last] = [this.marks[0], this.marks.at(-1)]
    if (first === undefined || last === undefined || last.at - first.at < 500) return undefined
    return ((last.done - first.done) / (last.at - first.at)) * 1000
  }
}
