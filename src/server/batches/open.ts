import type { Database } from "node-sqlite3-wasm"
import type { Dispatch } from "./answer.js"
import { Batches, type BatchesOptions } from "./batches.js"
import { LocalQueue } from "./local_queue.js"
import { RETRY_AFTER } from "./queue.js"
import { SqliteStore } from "./sqlite_store.js"

/** See `BullOptions`. */
const LOCK = 30_000

export interface BatchSettings extends BatchesOptions {
  /** Of a Redis or Valkey server that shares them among processes: `redis://host:6379`. */
  readonly queue: string | null
  /** Requests of batches that this process answers at once. */
  readonly concurrency: number
}

/**
 * @param database where files and batches are kept unless there is a queue; the caller closes it
 * @throws an Error where there is no queue at that address
 */
export async function openBatches(dispatch: Dispatch, database: Database, settings: BatchSettings): Promise<Batches> {
  const { queue, concurrency, ...options } = settings
  if (queue !== null) {
    const { openShared } = await import("./shared.js")
    const shared = await openShared(queue, {
      concurrency,
      lock: LOCK,
      retry_after: RETRY_AFTER,
      onError: options.onError,
    })
    return await Batches.start(shared.store, shared.queue, dispatch, options)
  }
  const store = new SqliteStore(database)
  return await Batches.start(store, new LocalQueue(concurrency, options.onError), dispatch, options)
}
