import { parentPort, workerData } from "node:worker_threads"
import { Barrier, BrokenBarrier } from "./barrier.js"
import type { WorkerAnswer, WorkerOrder, WorkerSetup } from "./node_thread_pool.js"
import { StepRunner } from "./steps.js"

// The entry of a worker thread: carries out the pool's orders one after the other.
const { module, thread, threads, barrier } = workerData as WorkerSetup
const runner = new StepRunner(module, thread, threads, new Barrier(new Int32Array(barrier), threads))

parentPort!.on("message", (order: WorkerOrder) => {
  if (order.kind === "segment") runner.addSegment(order.memory)
  else if (order.kind === "load") runner.load(order.id, order.steps)
  else if (order.kind === "drop") runner.drop(order.id)
  else parentPort!.postMessage(run(order.id))
})

function run(id: number): WorkerAnswer {
  try {
    runner.run(id)
    return { error: null, released: false }
  } catch (error) {
    return { error: (error as Error).message, released: error instanceof BrokenBarrier }
  }
}
