import { BackendError } from "../backend.js"
import { Claims } from "./claims.js"
import { JobRunner } from "./job_runner.js"
import type { KernelModule } from "./kernel_module.js"
import type { Section } from "./sections.js"

/** The threads that run programs, and share the parts of each. */
export interface ThreadPool {
  readonly kernels: KernelModule
  readonly threads: number
  /** Gives the threads the next segment: the first has number 0. */
  addSegment(memory: WebAssembly.Memory): void
  /** Gives the threads a program's jobs under a number not in use. */
  load(id: number, sections: readonly Section[]): void
  drop(id: number): void
  /**
   * Runs a program once; one at a time.
   *
   * @param rows what the program's symbols stand for, by their numbers
   * @throws BackendError when a kernel trapped, or a thread is gone
   */
  run(id: number, rows: readonly number[]): Promise<void>
  /** Ends the threads. A run in progress is rejected. */
  close(): Promise<void>
}

/** Runs programs on the calling thread: for one thread, and where there are no workers. */
export class InlinePool implements ThreadPool {
  readonly threads = 1
  private readonly runner: JobRunner
  private readonly claims = new Claims(new Int32Array(Claims.BYTES / 4))

  constructor(readonly kernels: KernelModule) {
    this.runner = new JobRunner(kernels, 0, this.claims)
  }

  addSegment(memory: WebAssembly.Memory): void {
    this.runner.addSegment(memory)
  }

  load(id: number, sections: readonly Section[]): void {
    this.runner.load(id, sections)
  }

  drop(id: number): void {
    this.runner.drop(id)
  }

  async run(id: number, rows: readonly number[]): Promise<void> {
    try {
      this.runner.run(id, 0, rows)
    } catch (error) {
      throw new BackendError(`a cpu kernel failed: ${(error as Error).message}`)
    } finally {
      this.claims.reset()
    }
  }

  async close(): Promise<void> {}
}
