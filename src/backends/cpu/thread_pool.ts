import { BackendError } from "../backend.js"
import { Barrier } from "./barrier.js"
import { type Step, StepRunner } from "./steps.js"

/** The threads that run programs. Every thread runs every step and does its share of it. */
export interface ThreadPool {
  readonly threads: number
  /** Gives the threads the next segment: the first has number 0. */
  addSegment(memory: WebAssembly.Memory): void
  /** Gives the threads a program's steps under a number not in use. */
  load(id: number, steps: readonly Step[]): void
  drop(id: number): void
  /**
   * Runs a program once; one at a time.
   * @throws BackendError when a kernel trapped, or a thread is gone
   */
  run(id: number): Promise<void>
  /** Ends the threads. A run in progress is rejected. */
  close(): Promise<void>
}

/** Runs programs on the calling thread: for one thread, and where there are no workers. */
export class InlinePool implements ThreadPool {
  readonly threads = 1
  private readonly runner: StepRunner
  private readonly barrier = new Barrier(new Int32Array(Barrier.BYTES / 4), 1)

  constructor(module: WebAssembly.Module) {
    this.runner = new StepRunner(module, 0, 1, this.barrier)
  }

  addSegment(memory: WebAssembly.Memory): void {
    this.runner.addSegment(memory)
  }

  load(id: number, steps: readonly Step[]): void {
    this.runner.load(id, steps)
  }

  drop(id: number): void {
    this.runner.drop(id)
  }

  async run(id: number): Promise<void> {
    try {
      this.runner.run(id)
    } catch (error) {
      this.barrier.reset()
      throw new BackendError(`a cpu kernel failed: ${(error as Error).message}`)
    }
  }

  async close(): Promise<void> {}
}
