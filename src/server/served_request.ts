import { Ending } from "../engine/ending.js"
import { type ErrorKind, RequestError } from "./request_error.js"

/** A request from its first byte to the last one of its answer, and what is told of it afterwards. */
export class ServedRequest {
  readonly started = performance.now()
  /** Aborted when the answer is of no more use: the client left, its time is up, the server stops. Models listen to it. */
  readonly ending = new Ending()
  model: string | null = null
  prompt_tokens = 0
  cached_tokens = 0
  completion_tokens = 0
  /** What went wrong, also in the middle of a stream whose status was 200. */
  error: ErrorKind | null = null
  isOver = false
  hasLeft = false
  private readonly whenOver: (() => void)[] = []

  constructor(
    readonly id: string,
    /** Closes the connection, where there is one. */
    readonly disconnect: () => void = () => {},
  ) {}

  onOver(listener: () => void): void {
    this.whenOver.push(listener)
  }

  /** Whoever generates for it stops, and fails with this. */
  cancel(reason: RequestError): void {
    if (!this.isOver) this.ending.abort(reason)
  }

  /** The client did not wait for the answer. */
  left(): void {
    if (this.isOver) return
    this.hasLeft = true
    this.cancel(new RequestError("timeout", "the client did not wait for the answer"))
    this.over()
  }

  /** The answer is given, or never will be. */
  over(): void {
    if (this.isOver) return
    this.isOver = true
    for (const listener of this.whenOver) listener()
  }
}
