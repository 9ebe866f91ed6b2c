import { parentPort, workerData } from "node:worker_threads"
import { BrokenRun, Claims } from "./claims.js"
import type { WorkerAnswer, WorkerOrder, WorkerSetup } from "./node_thread_pool.js"
import { JobRunner } from "./job_runner.js"

// The entry of a worker thread: carries out the pool's orders one after the other.
const { module, thread, state } = workerData as WorkerSetup
const runner = new JobRunner(module, thread, new Claims(new Int32Array(state)))

const answer = (message: WorkerAnswer) => parentPort!.postMessage(message)

parentPort!.on("message", (order: WorkerOrder) => {
  if (order.kind === "segment") runner.addSegment(order.memory)
  else if (order.kind === "load") runner.load(order.id, order.sections)
  else if (order.kind === "drop") runner.drop(order.id)
  else if (order.kind === "halt") answer({ kind: "halted" })
  else run(order)
})

function run({ id, first, rows }: Extract<WorkerOrder, { kind: "run" }>): void {
  try {
    if (runner.run(id, first, rows)) answer({ kind: "done" })
  } catch (error) {
    if (!(error instanceof BrokenRun)) answer({ kind: "failed", error: (error as Error).message })
  }
}
