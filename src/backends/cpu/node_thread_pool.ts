import { Worker } from "node:worker_threads"
import { BackendError } from "../backend.js"
import { Claims } from "./claims.js"
import { missingAsset } from "./node_asset.js"
import { type Section, widest } from "./sections.js"
import type { ThreadPool } from "./thread_pool.js"

/** What a worker is born with. */
export interface WorkerSetup {
  readonly module: WebAssembly.Module
  readonly thread: number
  /** What {@link Claims} are made of. */
  readonly state: SharedArrayBuffer
}

/** What a worker is told, in order. */
export type WorkerOrder =
  | { readonly kind: "segment"; readonly memory: WebAssembly.Memory }
  | { readonly kind: "load"; readonly id: number; readonly sections: readonly Section[] }
  | { readonly kind: "drop"; readonly id: number }
  | { readonly kind: "run"; readonly id: number; readonly first: number; readonly rows: readonly number[] }
  | { readonly kind: "halt" }

/** A run is "done" when the last part is: one worker says so. Each answers to "halt", after whatever it was at. */
export type WorkerAnswer = { readonly kind: "done" | "halted" } | { readonly kind: "failed"; readonly error: string }

interface Run {
  readonly workers: readonly Worker[]
  /** Once a kernel has failed: its error, and how many workers may still be at something, be it the run before. */
  error: string | null
  busy: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** Threads by worker_threads. They do not keep the process alive unless a program is running. */
export class NodeThreadPool implements ThreadPool {
  private readonly workers: Worker[]
  private readonly claims: Claims
  private readonly programs = new Map<number, { readonly workers: readonly Worker[]; readonly parts: number }>()
  /** The number of the next run's first part. */
  private first = 0
  private current: Run | null = null
  /** Why the pool can do no more, once it cannot. */
  private fate: string | null = null

  constructor(
    module: WebAssembly.Module,
    readonly threads: number,
  ) {
    const state = new SharedArrayBuffer(Claims.BYTES)
    this.claims = new Claims(new Int32Array(state))
    this.workers = Array.from({ length: threads }, (_, thread) => {
      const setup: WorkerSetup = { module, thread, state }
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
      workers[0].ref()
      this.tell({ kind: "run", id, first: this.first, rows }, workers)
      this.first = (this.first + parts) | 0
    })
  }

  async close(): Promise<void> {
    this.fail("the cpu backend is closed")
    for (const worker of this.workers) worker.ref()
    await Promise.all(this.workers.map((worker) => worker.terminate()))
  }

  private tell(order: WorkerOrder, workers: readonly Worker[] = this.workers): void {
    for (const worker of workers) worker.postMessage(order)
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
    run.workers[0].unref()
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
    for (const worker of this.workers) worker.unref()
    this.current?.reject(new BackendError(cause))
    this.current = null
  }
}
