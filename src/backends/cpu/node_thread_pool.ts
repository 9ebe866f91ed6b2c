import { Worker } from "node:worker_threads"
import { BackendError } from "../backend.js"
import { Barrier } from "./barrier.js"
import { missingAsset } from "./node_asset.js"
import type { Step } from "./steps.js"
import type { ThreadPool } from "./thread_pool.js"

/** What a worker is born with. */
export interface WorkerSetup {
  readonly module: WebAssembly.Module
  readonly thread: number
  readonly threads: number
  readonly barrier: SharedArrayBuffer
}

/** What a worker is told, in order. */
export type WorkerOrder =
  | { readonly kind: "segment"; readonly memory: WebAssembly.Memory }
  | { readonly kind: "load"; readonly id: number; readonly steps: readonly Step[] }
  | { readonly kind: "drop"; readonly id: number }
  | { readonly kind: "run"; readonly id: number }

/** Its answer to "run": `released` when it only stopped because another thread failed. */
export type WorkerAnswer = { readonly error: string | null; readonly released: boolean }

interface Run {
  outstanding: number
  error: string | null
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** Threads by worker_threads. They do not keep the process alive unless a program is running. */
export class NodeThreadPool implements ThreadPool {
  private readonly workers: Worker[]
  private readonly barrier: Barrier
  private current: Run | null = null
  /** Why the pool can do no more, once it cannot. */
  private fate: string | null = null

  constructor(
    module: WebAssembly.Module,
    readonly threads: number,
  ) {
    const memory = new SharedArrayBuffer(Barrier.BYTES)
    this.barrier = new Barrier(new Int32Array(memory), threads)
    this.workers = Array.from({ length: threads }, (_, thread) => {
      const setup: WorkerSetup = { module, thread, threads, barrier: memory }
      const worker = new Worker(new URL("./node_worker.js", import.meta.url), { workerData: setup, execArgv: [] })
      worker.on("message", (answer: WorkerAnswer) => this.answered(answer))
      worker.on("error", (error: NodeJS.ErrnoException) => {
        const isMissing = error.code === "MODULE_NOT_FOUND" || error.code === "ERR_MODULE_NOT_FOUND"
        this.fail(`cpu thread ${thread} failed: ${isMissing ? missingAsset("node_worker.js") : error.message}`)
      })
      worker.on("exit", (code) => this.fail(`cpu thread ${thread} ended unexpectedly with code ${code}`))
      worker.unref()
      return worker
    })
  }

  addSegment(memory: WebAssembly.Memory): void {
    this.tell({ kind: "segment", memory })
  }

  load(id: number, steps: readonly Step[]): void {
    this.tell({ kind: "load", id, steps })
  }

  drop(id: number): void {
    this.tell({ kind: "drop", id })
  }

  run(id: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.fate) {
        reject(new BackendError(this.fate))
        return
      }
      this.current = { outstanding: this.threads, error: null, resolve, reject }
      for (const worker of this.workers) worker.ref()
      this.tell({ kind: "run", id })
    })
  }

  async close(): Promise<void> {
    this.fail("the cpu backend is closed")
    for (const worker of this.workers) worker.ref()
    await Promise.all(this.workers.map((worker) => worker.terminate()))
  }

  private tell(order: WorkerOrder): void {
    for (const worker of this.workers) worker.postMessage(order)
  }

  private answered({ error, released }: WorkerAnswer): void {
    const run = this.current
    if (!run) return
    if (error && !released) run.error ??= error
    if (--run.outstanding > 0) return
    this.current = null
    for (const worker of this.workers) worker.unref()
    if (run.error === null) run.resolve()
    else {
      this.barrier.reset()
      run.reject(new BackendError(`a cpu kernel failed: ${run.error}`))
    }
  }

  /**
   * The first cause stays; the threads left are released, and of no more use. Those that end later change nothing: to
   * unref a worker that is being terminated would let the process go before `close` is done.
   */
  private fail(cause: string): void {
    if (this.fate) return
    this.fate = cause
    this.barrier.break()
    for (const worker of this.workers) worker.unref()
    this.current?.reject(new BackendError(cause))
    this.current = null
  }
}
