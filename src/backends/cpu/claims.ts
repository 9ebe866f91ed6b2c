/**
 * Looks that a thread takes before it goes to sleep: some 55 us, for what one thread does alone between two products. With
 * 3,000 minerva-tiny decodes no faster on two threads than on one, with none layers of gpt-oss-20b lose a tenth; more than
 * these gain nothing.
 */
const SPINS = 10_000

/** Parts claimed, and parts done, since the threads began: numbers that only grow, and wrap. */
const NEXT = 0
const DONE = 1
/** Changes whenever sleepers are woken. */
const WAKE = 2
const BROKEN = 3

/** Another thread failed, so this one stops too. */
export class BrokenRun extends Error {
  override readonly name = "BrokenRun"
}

/** Of numbers that wrap: whether counting to `a` has come to `b`. */
const reaches = (a: number, b: number) => ((a - b) | 0) >= 0

/**
 * How threads share the work of a run: whoever is there claims the next part. A section begins when every part before it is
 * done, not when every thread has come: a thread that gets no processor holds up the others only if it sleeps over a part of
 * its own, and a thread that comes late finds its work done.
 */
export class Claims {
  static readonly BYTES = 16

  /** @param state zeroed memory that the threads share */
  constructor(private readonly state: Int32Array) {}

  /**
   * Does parts of a run until all are done, by this thread or by others.
   *
   * @param parts how many each section has
   * @param first the number of the run's first part, which is how many there were in the runs before
   * @returns whether this thread did the last one
   * @throws BrokenRun when another thread has broken it
   */
  run(parts: readonly number[], first: number, work: (section: number, part: number) => void): boolean {
    const { state } = this
    let start = first
    for (let section = 0; section < parts.length; section++) {
      const end = (start + parts[section]) | 0
      while (!this.isDone(end)) {
        if (Atomics.load(state, BROKEN)) throw new BrokenRun("another thread failed")
        const next = Atomics.load(state, NEXT)
        if (reaches(next, end)) this.awaitDone(end)
        else if (Atomics.compareExchange(state, NEXT, next, (next + 1) | 0) === next) {
          work(section, (next - start) | 0)
          if (((Atomics.add(state, DONE, 1) + 1) | 0) !== end) continue
          if (section === parts.length - 1) {
            this.wake()
            return true
          }
          // Sleepers may sleep on through what one thread does alone.
          if (parts[section + 1] > 1) this.wake(parts[section + 1] - 1)
        }
      }
      start = end
    }
    return false
  }

  /** Ends a run in all threads, each after the part that it is at. */
  break(): void {
    Atomics.store(this.state, BROKEN, 1)
    this.wake()
  }

  /** Makes a broken run's state whole again, when no thread is in it: the next run starts at part 0. */
  reset(): void {
    this.state.fill(0)
  }

  private isDone(end: number): boolean {
    return reaches(Atomics.load(this.state, DONE), end)
  }

  private awaitDone(end: number): void {
    const { state } = this
    for (let spin = 0; spin < SPINS; spin++) if (this.isDone(end)) return
    const wake = Atomics.load(state, WAKE)
    if (!this.isDone(end) && !Atomics.load(state, BROKEN)) Atomics.wait(state, WAKE, wake)
  }

  private wake(sleepers = Number.POSITIVE_INFINITY): void {
    Atomics.add(this.state, WAKE, 1)
    Atomics.notify(this.state, WAKE, sleepers)
  }
}
