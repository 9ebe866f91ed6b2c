/** Looks that a thread takes before it goes to sleep: instructions of a token are some microseconds apart. */
const SPINS = 5000

const ARRIVED = 0
const GENERATION = 1
const BROKEN = 2

/** Another thread failed, so this one stops too. */
export class BrokenBarrier extends Error {
  override readonly name = "BrokenBarrier"
}

/** Where threads wait for each other between instructions. A thread that fails breaks it and so releases the others. */
export class Barrier {
  static readonly BYTES = 12

  /** @param state zeroed memory that the threads share */
  constructor(
    private readonly state: Int32Array,
    private readonly threads: number,
  ) {}

  /** @throws BrokenBarrier when another thread has broken it */
  wait(): void {
    const { state } = this
    const generation = Atomics.load(state, GENERATION)
    this.check()
    if (Atomics.add(state, ARRIVED, 1) === this.threads - 1) {
      Atomics.store(state, ARRIVED, 0)
      this.release()
      return
    }
    let spins = 0
    while (spins < SPINS && Atomics.load(state, GENERATION) === generation) spins++
    // Woken is not released: a slow notify may be meant for the round before.
    while (Atomics.load(state, GENERATION) === generation) Atomics.wait(state, GENERATION, generation)
    this.check()
  }

  break(): void {
    Atomics.store(this.state, BROKEN, 1)
    this.release()
  }

  /** Makes a broken barrier whole again, when no thread waits. */
  reset(): void {
    this.state.fill(0)
  }

  private release(): void {
    Atomics.add(this.state, GENERATION, 1)
    Atomics.notify(this.state, GENERATION)
  }

  private check(): void {
    if (Atomics.load(this.state, BROKEN)) throw new BrokenBarrier("another thread failed")
  }
}
