import { BackendError } from "../backend.js"
import { Claims } from "./claims.js"
import type { KernelModule } from "./kernel_module.js"
import { type Section, widest } from "./sections.js"
import type { ThreadPool } from "./thread_pool.js"
import type { WorkerAnswer, WorkerOrder, WorkerSetup } from "./worker_orders.js"

/** A worker as its pool sees it: Node's and browsers' differ. */
export interface PoolWorker {
  tell(order: WorkerOrder): void
  /** Whether the process is to stay for it, where processes end by themselves; at first it is not. */
  keepProcess?(keeps: boolean): void
  end(): Promise<unknown>
}

export interface WorkerEvents {
  onAnswer(answer: WorkerAnswer): void
  /** The worker is gone, or of no more use; `how` goes on from its name: "ended ...", "failed: ...". */
  onEnd(how: string): void
}

interface Run {
  readonly workers: readonly PoolWorker[]
  /** Once a kernel has failed: its error, and how many workers may still be at something, be it the run before. */
  error: string | null
  busy: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** Threads that are workers over shared memory. The calling thread never waits for them but by their messages. */
export class WorkerPool implements ThreadPool {
  private readonly workers: PoolWorker[]
  private readonly claims: Claims
  private readonly programs = new Map<number, { readonly workers: readonly PoolWorker[]; readonly parts: number }>()
  /** The number of the next run's first part. */
  private first = 0
  private current: Run | null = null
  /** Why the pool can do no more, once it cannot. */
  private fate: string | null = null

  constructor(
    readonly kernels: KernelModule,
    readonly threads: number,
    start: (setup: WorkerSetup, events: WorkerEvents) => PoolWorker,
  ) {
    const state = new SharedArrayBuffer(Claims.BYTES)
    this.claims = new Claims(new Int32Array(state))
    this.workers = Array.from({ length: threads }, (_, thread) =>
      start(
        { kernels, thread, state },
        {
          onAnswer: (answer) => this.answered(answer),
          onEnd: (how) => this.fail(`cpu thread ${thread} ${how}`),
        },
      ),
    )
  }

  addSegment(memory: WebAssembly.Memory): void {
    this.tell({ kind: "segment", memory })
  }

  load(id: number, sections: readonly Section[]): void {
    const parts = sections.reduce((sum, section) => sum + section.parts, 0)
    this.programs.set(id, { workers: this.workers.slice(0, widest(sections)), parts })
    this.tell({ kind: "load", id, sections })
  }

  drop(id: number): void {
    this.programs.delete(id)
    this.tell({ kind: "drop", id })
  }

  run(id: number, rows: readonly number[]): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.fate) {
        reject(new BackendError(this.fate))
        return
      }
      const { workers, parts } = this.programs.get(id)!
      this.current = { workers, error: null, busy: 0, resolve, reject }
      workers[0].keepProcess?.(true)
      this.tell({ kind: "run", id, first: this.first, rows }, workers)
      this.first = (this.first + parts) | 0
    })
  }

  async close(): Promise<void> {
    this.fail("the cpu backend is closed")
    for (const worker of this.workers) worker.keepProcess?.(true)
    await Promise.all(this.workers.map((worker) => worker.end()))
  }

  private tell(order: WorkerOrder, workers: readonly PoolWorker[] = this.workers): void {
    for (const worker of workers) worker.tell(order)
  }

  private answered(answer: WorkerAnswer): void {
    const run = this.current
    if (!run) return
    if (answer.kind === "failed") {
      if (run.error !== null) return
      run.error = answer.error
      run.busy = this.threads
      this.tell({ kind: "halt" })
      return
    }
    if (answer.kind === "halted" && --run.busy > 0) return
    this.current = null
    run.workers[0].keepProcess?.(false)
    if (run.error === null) {
      run.resolve()
      return
    }
    this.claims.reset()
    this.first = 0
    run.reject(new BackendError(`a cpu kernel failed: ${run.error}`))
  }

  /**
   * The first cause stays; the threads left are released, and of no more use. Those that end later change nothing: to
   * unref a worker that is being terminated would let the process go before `close` is done.
   */
  private fail(cause: string): void {
    if (this.fate) return
    this.fate = cause
    this.claims.break()
    for (const worker of this.workers) worker.keepProcess?.(false)
    this.current?.reject(new BackendError(cause))
    this.current = null
  }
}
