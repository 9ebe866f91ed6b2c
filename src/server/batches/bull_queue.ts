import type { Queue, Worker } from "bullmq"
import type { Redis } from "ioredis"
import { keyOf, MOST_TRIES, type Task, type TaskQueue, type TaskWorker } from "./queue.js"
import { PREFIX } from "./redis_store.js"

const NAME = "batches"

/** How often a task is taken over from a process that died of it, or beside it. */
const MOST_TAKEN_OVER = 5

export interface BullOptions {
  /** Tasks that this process does at once. */
  readonly concurrency: number
  /** Milliseconds without a sign of life after which others take over what a process was doing. */
  readonly lock: number
  /** See `RETRY_AFTER`. */
  readonly retry_after: number
  readonly onError: (error: unknown) => void
}

/** Shares tasks among the processes that know one Redis. BullMQ keeps them: what a process leaves undone another takes over. */
export class BullQueue implements TaskQueue {
  private readonly queue: Queue<Task>
  private readonly ending = new AbortController()
  private worker: Worker<Task> | null = null

  constructor(
    private readonly bull: typeof import("bullmq"),
    private readonly connection: Redis,
    private readonly options: BullOptions,
  ) {
    this.queue = new bull.Queue(NAME, { connection, prefix: PREFIX })
    this.queue.on("error", options.onError)
  }

  async add(tasks: readonly Task[]): Promise<void> {
    const jobs = tasks.map((task) => ({
      name: task.type,
      data: task,
      opts: {
        // One that is there already is not added again.
        jobId: keyOf(task),
        lifo: task.type !== "answer",
        attempts: MOST_TRIES,
        backoff: { type: "exponential", delay: this.options.retry_after },
        removeOnComplete: true,
        removeOnFail: true,
      },
    }))
    if (jobs.length > 0) await this.queue.addBulk(jobs)
  }

  async start(worker: TaskWorker): Promise<void> {
    const { bull, connection, ending } = this
    const { concurrency, lock, onError } = this.options
    this.worker = new bull.Worker<Task>(
      NAME,
      async (job, token) => {
        try {
          await worker.perform(job.data, ending.signal)
        } catch (error) {
          if (!ending.signal.aborted) throw error
          await job.moveToWait(token)
          throw new bull.WaitingError()
        }
      },
      {
        connection,
        prefix: PREFIX,
        concurrency,
        lockDuration: lock,
        stalledInterval: lock,
        maxStalledCount: MOST_TAKEN_OVER,
      },
    )
    this.worker.on("error", onError)
    this.worker.on("failed", (job, error) => {
      onError(error)
      if (job?.finishedOn !== undefined) worker.giveUp(job.data, error).catch(onError)
    })
    await this.worker.waitUntilReady()
  }

  async close(): Promise<void> {
    this.ending.abort(new Error("the server is ending"))
    await this.worker?.close()
    await this.queue.close()
    this.connection.disconnect()
  }
}
