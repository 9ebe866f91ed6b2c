import { Worker } from "node:worker_threads"

/**
 * Bytes per second that `threads` threads together stream from memory: the roofline of decoding, which reads every active
 * weight once per token. The best of several passes over a buffer far larger than the caches.
 */
export async function measureReadBandwidth(threads: number, bytes = 2 ** 29, passes = 8): Promise<number> {
  const buffer = new SharedArrayBuffer(bytes)
  // Touch every page: untouched ones all map to one page of zeros.
  new Uint8Array(buffer).fill(1)
  const length = Math.floor(bytes / threads / 64) * 8
  const workers = Array.from({ length: threads }, (_, i) => {
    const workerData = { buffer, offset: i * length * 8, length }
    return new Worker(new URL("./node_read_worker.js", import.meta.url), { workerData })
  })
  try {
    const readAll = () => Promise.all(workers.map(onePass))
    // Threads start and the loop is compiled.
    for (let i = 0; i < 3; i++) await readAll()
    let best = Number.POSITIVE_INFINITY
    for (let i = 0; i < passes; i++) {
      const start = performance.now()
      await readAll()
      best = Math.min(best, performance.now() - start)
    }
    return (threads * length * 8 * 1000) / best
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}

function onePass(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      worker.off("message", done)
      worker.off("error", failed)
    }
    const done = () => {
      settle()
      resolve()
    }
    const failed = (error: Error) => {
      settle()
      reject(error)
    }
    worker.on("message", done)
    worker.on("error", failed)
    worker.postMessage("read")
  })
}
