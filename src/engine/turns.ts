import type { CancelSignal } from "../backends/backend.js"

/** Lets one in at a time, first come, first served. */
export class Turns {
  private last: Promise<void> = Promise.resolve()

  /**
   * Waits until those who came before have ended.
   *
   * @returns ends the turn; to be called whatever happens, more than once does no harm
   * @throws the signal's reason as soon as it is aborted; the place in the queue is then given up
   */
  async take(signal?: CancelSignal): Promise<() => void> {
    signal?.throwIfAborted()
    const before = this.last
    let end!: () => void
    this.last = new Promise((resolve) => {
      end = resolve
    })
    try {
      await unlessAborted(before, signal)
    } catch (error) {
      // Who stands behind still waits for those in front.
      void before.then(end)
      throw error
    }
    return end
  }
}

function unlessAborted(promise: Promise<void>, signal: CancelSignal | undefined): Promise<void> {
  if (!signal) return promise
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    signal.addEventListener("abort", abort)
    void promise.then(() => {
      signal.removeEventListener("abort", abort)
      resolve()
    })
  })
}
