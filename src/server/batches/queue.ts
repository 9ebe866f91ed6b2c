/** Something to be done for a batch, by whichever process. Doing it twice does no harm. */
export type Task =
  /** Checks the input and has its requests answered. */
  | { readonly type: "prepare"; readonly batch: string }
  /** Answers the `index`-th request, which stands in the input's bytes from `from` up to `to`. */
  | {
      readonly type: "answer"
      readonly batch: string
      readonly index: number
      readonly from: number
      readonly to: number
    }
  /** Writes the output. */
  | { readonly type: "finish"; readonly batch: string }

export interface TaskWorker {
  /** @param signal aborted when the process ends: somebody else, or the next process, does it then */
  perform(task: Task, signal: AbortSignal): Promise<void>
  /** Called for a task that failed {@link MOST_TRIES} times. */
  giveUp(task: Task, error: unknown): Promise<void>
}

/** How often a task is tried that fails. */
export const MOST_TRIES = 6

/** Milliseconds before the second try; twice as many before each that follows. */
export const RETRY_AFTER = 500

/** Has tasks done. Preparing and finishing go before answers. */
export interface TaskQueue {
  /** Takes tasks, but for those that wait or are being done already. */
  add(tasks: readonly Task[]): Promise<void>
  /** Begins to do them. */
  start(worker: TaskWorker): Promise<void>
  /** Aborts what is being done. */
  close(): Promise<void>
}

/** The same for the same task. */
export const keyOf = (task: Task): string =>
  task.type === "answer" ? `answer-${task.batch}-${task.index}` : `${task.type}-${task.batch}`
