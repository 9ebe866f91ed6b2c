import { BrokenRun, Claims } from "./claims.js"
import { JobRunner } from "./job_runner.js"
import type { KernelModule } from "./kernel_module.js"
import type { Section } from "./sections.js"

/** What a worker is born with. */
export interface WorkerSetup {
  readonly kernels: KernelModule
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

/** A worker's whole life: carries out the pool's orders one after the other. */
export function workerOf(
  { kernels, thread, state }: WorkerSetup,
  answer: (message: WorkerAnswer) => void,
): (order: WorkerOrder) => void {
  const runner = new JobRunner(kernels, thread, new Claims(new Int32Array(state)))
  const run = ({ id, first, rows }: Extract<WorkerOrder, { kind: "run" }>) => {
    try {
      if (runner.run(id, first, rows)) answer({ kind: "done" })
    } catch (error) {
      if (!(error instanceof BrokenRun)) answer({ kind: "failed", error: (error as Error).message })
    }
  }
  return (order) => {
    if (order.kind === "segment") runner.addSegment(order.memory)
    else if (order.kind === "load") runner.load(order.id, order.sections)
    else if (order.kind === "drop") runner.drop(order.id)
    else if (order.kind === "halt") answer({ kind: "halted" })
    else run(order)
  }
}
