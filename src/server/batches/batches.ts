import { RequestError } from "../request_error.js"
import type { Dispatch } from "./answer.js"
import { Files, type FileLimits } from "./files.js"
import { type BatchObject, isFinished, newId, now, type StoredBatch } from "./objects.js"
import type { TaskQueue } from "./queue.js"
import { BatchRunner } from "./runner.js"
import type { BatchStore } from "./store.js"

/** Batches that are unfinished, and that are known, at most. */
const MOST_UNFINISHED = 20
const MOST_BATCHES = 10_000

/** Milliseconds between two looks at what time brought. */
const SWEEP = 5000

export interface NewBatch {
  readonly input_file_id: string
  readonly endpoint: string
  readonly completion_window: string
  /** Seconds from now on. */
  readonly window: number
  readonly metadata: Readonly<Record<string, string>> | null
  /** Seconds that its output is kept; always if left out. */
  readonly keep_output?: number
}

export interface BatchesOptions extends FileLimits {
  /** Bytes of a request, at most. */
  readonly max_body: number
  readonly onError: (error: unknown) => void
}

/** The files and batches of a server, of which this process may be one among several. */
export class Batches {
  readonly files: Files
  private readonly runner: BatchRunner
  private readonly timer: NodeJS.Timeout

  private constructor(
    private readonly store: BatchStore,
    private readonly queue: TaskQueue,
    dispatch: Dispatch,
    { max_body, onError, ...limits }: BatchesOptions,
  ) {
    this.files = new Files(store, limits)
    this.runner = new BatchRunner(store, this.files, queue, dispatch, max_body)
    this.timer = setInterval(() => this.sweep().catch(onError), SWEEP)
    this.timer.unref()
  }

  /** Goes on with what is unfinished. @param dispatch answers the requests of batches */
  static async start(
    store: BatchStore,
    queue: TaskQueue,
    dispatch: Dispatch,
    options: BatchesOptions,
  ): Promise<Batches> {
    const batches = new Batches(store, queue, dispatch, options)
    const unfinished = await store.batches("unfinished")
    await queue.add(unfinished.map(({ id }) => ({ type: "prepare", batch: id })))
    await queue.start(batches.runner)
    return batches
  }

  /** What is unfinished goes on when the server starts again, or in another process meanwhile. */
  async close(): Promise<void> {
    clearInterval(this.timer)
    await this.queue.close()
    await this.store.close()
  }

  /** @throws {RequestError} where its input is none, or too many batches are unfinished */
  async create({ window, keep_output, ...asked }: NewBatch): Promise<BatchObject> {
    const input = await this.files.get(asked.input_file_id).catch(() => null)
    if (input?.purpose !== "batch") {
      const why = input ? `has the purpose ${input.purpose}` : "is not here"
      const message = `input_file_id: expected a file uploaded with the purpose batch; this one ${why}`
      throw new RequestError("invalid_request", message, { param: "input_file_id" })
    }
    const all = await this.store.batches("all")
    const finished = all.filter(isFinished)
    if (all.length - finished.length >= MOST_UNFINISHED) {
      const message = `${MOST_UNFINISHED} batches are unfinished, which is the limit: wait for one, or cancel it`
      throw new RequestError("overloaded", message, { code: "rate_limit_exceeded" })
    }
    for (const { id } of finished.slice(0, Math.max(0, all.length + 1 - MOST_BATCHES))) await this.store.removeBatch(id)
    const created_at = now()
    const batch: StoredBatch = {
      id: newId("batch_"),
      object: "batch",
      ...asked,
      status: "validating",
      created_at,
      expires_at: created_at + window,
      request_counts: { total: 0, completed: 0, failed: 0 },
      ...(keep_output !== undefined && { keep_output }),
    }
    await this.store.addBatch(batch)
    await this.queue.add([{ type: "prepare", batch: batch.id }])
    return told(batch)
  }

  /** @throws {RequestError} `not_found` */
  async get(id: string): Promise<BatchObject> {
    const batch = await this.store.batch(id)
    if (!batch) throw new RequestError("not_found", `no batch has the id ${id.slice(0, 80)}`, { param: "batch_id" })
    return await this.counted(batch)
  }

  async list(): Promise<readonly BatchObject[]> {
    return (await this.store.batches("all")).map(told)
  }

  /** With the counts of now. */
  async counted(batch: BatchObject): Promise<BatchObject> {
    if (isFinished(batch)) return told(batch)
    const counts = await this.store.counts(batch.id)
    return told({ ...batch, request_counts: { ...batch.request_counts, ...counts } })
  }

  /** @throws {RequestError} `not_found`, or where it is finished or being finished */
  async cancel(id: string): Promise<BatchObject> {
    await this.runner.end(id, "cancelled")
    const batch = await this.get(id)
    if (batch.status === "cancelling" || batch.status === "cancelled") return batch
    const message = `a batch that is ${batch.status} cannot be cancelled`
    throw new RequestError("invalid_request", message, { param: "batch_id" })
  }

  private async sweep(): Promise<void> {
    await this.runner.sweep()
    await this.files.sweep()
  }
}

/** Without what is ours. */
function told({ ending: _, keep_output: __, ...batch }: StoredBatch): BatchObject {
  return batch
}
