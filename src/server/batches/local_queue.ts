import { pause } from "./pause.js"
import { keyOf, MOST_TRIES, RETRY_AFTER, type Task, type TaskQueue, type TaskWorker } from "./queue.js"
import { othersTurn } from "./turn.js"

/** Does tasks in this process, and forgets them with it. */
export class LocalQueue implements TaskQueue {
  private readonly urgent: Task[] = []
  private readonly answers: Task[] = []
  /** Of the tasks that wait or are being done. */
  private readonly keys = new Set<string>()
  private readonly doing = new Set<Promise<void>>()
  private readonly ending = new AbortController()
  private worker: TaskWorker | null = null

  /** @param concurrency tasks that are done at once, at most */
  constructor(
    private readonly concurrency: number,
    private readonly onError: (error: unknown) => void,
  ) {}

  async add(tasks: readonly Task[]): Promise<void> {
    for (const task of tasks) {
      const key = keyOf(task)
      if (this.keys.has(key)) continue
      this.keys.add(key)
      const list = task.type === "answer" ? this.answers : this.urgent
      list.push(task)
    }
    this.go()
  }

  async start(worker: TaskWorker): Promise<void> {
    this.worker = worker
    this.go()
  }

  async close(): Promise<void> {
    this.ending.abort(new Error("the server is ending"))
    await Promise.all(this.doing)
  }

  private go(): void {
    while (this.worker && !this.ending.signal.aborted && this.doing.size < this.concurrency) {
      const task = this.urgent.shift() ?? this.answers.shift()
      if (!task) return
      const done = this.try(task, this.worker).finally(() => {
        this.keys.delete(keyOf(task))
        this.doing.delete(done)
        this.go()
      })
      this.doing.add(done)
    }
  }

  private async try(task: Task, worker: TaskWorker): Promise<void> {
    const { signal } = this.ending
    for (let tries = 1; !signal.aborted; tries++) {
      try {
        // Others have their turn first: thousands of requests may be answered at once, all of them with an error.
        await othersTurn()
        return await worker.perform(task, signal)
      } catch (error) {
        if (signal.aborted) return
        this.onError(error)
        if (tries === MOST_TRIES) return await worker.giveUp(task, error).catch(this.onError)
        await pause(RETRY_AFTER * 2 ** (tries - 1), signal).catch(() => {})
      }
    }
  }
}
