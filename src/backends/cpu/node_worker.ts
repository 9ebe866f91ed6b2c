import { parentPort, workerData } from "node:worker_threads"
import { type WorkerSetup, workerOf } from "./worker_orders.js"

// The entry of a worker thread.
const port = parentPort!
port.on(
  "message",
  workerOf(workerData as WorkerSetup, (answer) => port.postMessage(answer)),
)
