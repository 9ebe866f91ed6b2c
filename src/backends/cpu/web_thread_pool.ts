import type { KernelModule } from "./kernel_module.js"
import { missingAsset } from "./missing_asset.js"
import type { WorkerAnswer, WorkerSetup } from "./worker_orders.js"
import { type PoolWorker, type WorkerEvents, WorkerPool } from "./worker_pool.js"

/** Threads by Web Workers, in pages that may share memory. The calling thread may be the page's own or a worker. */
export class WebThreadPool extends WorkerPool {
  constructor(kernels: KernelModule, threads: number) {
    super(kernels, threads, startWorker)
  }
}

function startWorker(setup: WorkerSetup, { onAnswer, onEnd }: WorkerEvents): PoolWorker {
  const worker = new Worker(new URL("./web_worker.js", import.meta.url), { type: "module" })
  worker.onmessage = ({ data }: MessageEvent<WorkerAnswer>) => onAnswer(data)
  worker.onmessageerror = () => onEnd("failed: it was sent what this browser cannot share")
  worker.onerror = (event) => {
    event.preventDefault()
    // Of a script that does not load, browsers do not say why.
    const reason =
      event.message || `${missingAsset("web_worker.js")}; it needs the page's Cross-Origin-Embedder-Policy too`
    onEnd(`failed: ${reason}`)
  }
  worker.postMessage(setup)
  return {
    tell: (order) => worker.postMessage(order),
    end: async () => worker.terminate(),
  }
}
