import { RequestError } from "./request_error.js"
import type { ServedRequest } from "./served_request.js"

export interface RequestLimits {
  /** Requests at once at most. */
  readonly max_requests: number
  /** Seconds that one may take; 0: any time. */
  readonly request_timeout: number
}

/** Milliseconds for the error that ends a request to reach the client. One that reads nothing loses its connection then. */
const GRACE = 2_000

/** The requests that are being answered: so many at most, each for so long, and none for ever when the server stops. */
export class OpenRequests {
  private readonly open = new Set<ServedRequest>()
  private draining = false
  private onEmpty = () => {}

  constructor(private readonly limits: RequestLimits) {}

  get size(): number {
    return this.open.size
  }

  get isDraining(): boolean {
    return this.draining
  }

  /** @throws {RequestError} `unavailable` while the server stops, `overloaded` when there are too many */
  admit(request: ServedRequest): void {
    const { max_requests, request_timeout } = this.limits
    if (this.draining) throw stopping()
    if (this.open.size >= max_requests) {
      const message = `${max_requests} requests are being answered already: try again later`
      throw new RequestError("overloaded", message, { code: "rate_limit_exceeded", retry_after: 1 })
    }
    if (request_timeout > 0) limitTime(request, request_timeout)
    this.open.add(request)
    request.onOver(() => {
      this.open.delete(request)
      if (this.open.size === 0) this.onEmpty()
    })
  }

  /** Takes no more. Those that are open have so many milliseconds; then they end with an error. Resolves when none is left. */
  async drain(timeout: number): Promise<void> {
    this.draining = true
    if (await this.emptyWithin(timeout)) return
    for (const request of this.open) request.cancel(stopping())
    if (await this.emptyWithin(GRACE)) return
    for (const request of this.open) request.disconnect()
  }

  private emptyWithin(milliseconds: number): Promise<boolean> {
    if (this.open.size === 0) return Promise.resolve(true)
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), milliseconds)
      this.onEmpty = () => {
        clearTimeout(timer)
        resolve(true)
      }
    })
  }
}

function limitTime(request: ServedRequest, seconds: number): void {
  const late = `the request was not done after ${seconds} s, which is the limit here: ask for fewer tokens`
  const timers = [
    setTimeout(() => request.cancel(new RequestError("timeout", late)), seconds * 1000),
    setTimeout(() => request.disconnect(), seconds * 1000 + GRACE),
  ]
  request.onOver(() => {
    for (const timer of timers) clearTimeout(timer)
  })
}

function stopping(): RequestError {
  return new RequestError("unavailable", "the server is stopping: try again", { retry_after: 5 })
}
