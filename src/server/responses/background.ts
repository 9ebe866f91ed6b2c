import { asRequestError } from "../faults.js"
import type { TurnEvent } from "../served_model.js"
import { whole } from "../whole.js"
import type { Item } from "./items.js"
import type { ResponseObject } from "./response.js"
import { MemoryResponseStore, type ResponseStore } from "./store.js"
import { responseEvents, type ResponseWriter } from "./turn.js"

/** Responses that are written while nobody waits for them. */
export class BackgroundResponses {
  private readonly running = new Map<string, { readonly abort: AbortController; readonly done: Promise<void> }>()

  /** @param store where responses are kept; by default in memory, while there is room */
  constructor(readonly store: ResponseStore = new MemoryResponseStore()) {}

  /** Begins one. @returns it as it is in the store until it is done */
  async start(
    writer: ResponseWriter,
    input: readonly Item[],
    turn: (signal: AbortSignal) => AsyncIterable<TurnEvent>,
  ): Promise<ResponseObject> {
    const begun = { ...writer.response, status: "queued" } as const
    await this.store.put({ response: begun, input })
    const abort = new AbortController()
    const write = async () => {
      try {
        const response = await written(writer, turn(abort.signal), abort.signal)
        await this.store.put({ response, input })
      } catch {
        // It cannot be kept, so nobody will find it done: see `current`.
      } finally {
        this.running.delete(begun.id)
      }
    }
    this.running.set(begun.id, { abort, done: write() })
    return begun
  }

  /** Ends one that is still being written, and waits until it is. */
  async cancel(id: string): Promise<void> {
    const run = this.running.get(id)
    run?.abort.abort()
    await run?.done
  }

  /** A kept response as it is now: what a process that has ended left unfinished has failed. */
  current(response: ResponseObject): ResponseObject {
    if (response.status !== "queued" && response.status !== "in_progress") return response
    if (this.running.has(response.id)) return { ...response, status: "in_progress" }
    const message = "the server was stopped while it wrote the response: ask again"
    return { ...response, status: "failed", error: { code: "server_error", message } }
  }
}

async function written(
  writer: ResponseWriter,
  turn: AsyncIterable<TurnEvent>,
  signal: AbortSignal,
): Promise<ResponseObject> {
  try {
    return await whole(responseEvents(writer, turn))
  } catch (error) {
    return signal.aborted ? { ...writer.response, status: "cancelled" } : writer.failed(asRequestError(error))
  }
}
