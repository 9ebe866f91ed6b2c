import { Worker } from "node:worker_threads"
import type { KernelModule } from "./kernel_module.js"
import { missingAsset } from "./missing_asset.js"
import type { WorkerSetup } from "./worker_orders.js"
import { type PoolWorker, type WorkerEvents, WorkerPool } from "./worker_pool.js"

/** Threads by worker_threads. They do not keep the process alive unless a program is running. */
export class NodeThreadPool extends WorkerPool {
  constructor(kernels: KernelModule, threads: number) {
    super(kernels, threads, startWorker)
  }
}

function startWorker(setup: WorkerSetup, { onAnswer, onEnd }: WorkerEvents): PoolWorker {
  const worker = new Worker(new URL("./node_worker.js", import.meta.url), { workerData: setup, execArgv: [] })
  worker.on("message", onAnswer)
  worker.on("error", (error: NodeJS.ErrnoException) => {
    const isMissing = error.code === "MODULE_NOT_FOUND" || error.code === "ERR_MODULE_NOT_FOUND"
    onEnd(`failed: ${isMissing ? missingAsset("node_worker.js") : error.message}`)
  })
  worker.on("exit", (code) => onEnd(`ended unexpectedly with code ${code}`))
  worker.unref()
  return {
    tell: (order) => worker.postMessage(order),
    keepProcess: (keeps) => (keeps ? worker.ref() : worker.unref()),
    end: () => worker.terminate(),
  }
}
