import { HubError, PassingFailure } from "./hub_error.js"

/** How long failures are put up with. */
export interface Patience {
  /** Failures in a row, none of which brought anything new, after which it is given up. */
  readonly failures: number
  /** Milliseconds before the second try; twice as long before each that follows, up to `longest`. */
  readonly first: number
  readonly longest: number
  /** Milliseconds without a byte after which a connection counts as dropped. */
  readonly silence: number
  /** The longest that a server may ask to wait, in milliseconds. */
  readonly asked: number
}

export const PATIENCE: Patience = { failures: 8, first: 500, longest: 30_000, silence: 60_000, asked: 300_000 }

export interface Persistence {
  readonly patience: Patience
  readonly signal: AbortSignal
  /** Told of a failure that is waited out. */
  readonly onWait?: (reason: string, ms: number) => void
}

/**
 * Tries until it works. Failures are counted anew when one brought something.
 *
 * @param what is tried, for the error: "reading the list of files"
 * @param progress a number that grows with what has arrived
 * @throws HubError `unreachable` when patience is at an end; what `attempt` throws unless it is a {@link PassingFailure}; the
 * signal's reason
 */
export async function persist<T>(
  what: string,
  attempt: () => Promise<T>,
  { patience, signal, onWait }: Persistence,
  progress: () => number = () => 0,
): Promise<T> {
  let failures = 0
  let furthest = progress()
  for (;;) {
    signal.throwIfAborted()
    try {
      return await attempt()
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof PassingFailure)) throw error
      failures = progress() > furthest ? 1 : failures + 1
      furthest = Math.max(furthest, progress())
      const { reason, after = 0 } = error
      if (failures >= patience.failures || after > patience.asked) throw givenUp(what, failures, error)
      const backoff = Math.min(patience.first * 2 ** (failures - 1), patience.longest) * (0.5 + Math.random() / 2)
      const ms = Math.max(after, backoff)
      onWait?.(reason, ms)
      await sleep(ms, signal)
    }
  }
}

function givenUp(what: string, failures: number, { reason, after, cause }: PassingFailure): HubError {
  const times = failures > 1 ? `${failures} times in a row` : "once"
  const minutes = after === undefined ? undefined : Math.ceil(after / 60_000)
  const advice = minutes !== undefined && minutes > 1 ? `try again in ${minutes} minutes` : "try again later"
  return new HubError({ code: "unreachable", problem: `${what} failed ${times}: ${reason}`, advice, cause })
}

/** @throws the signal's reason */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop)
      resolve()
    }, ms)
    if (signal.aborted) stop()
    else signal.addEventListener("abort", stop, { once: true })
  })
}
