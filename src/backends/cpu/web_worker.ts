import { type WorkerOrder, type WorkerSetup, workerOf } from "./worker_orders.js"

// The entry of a Web Worker. Its first message is what Node's are born with.
addEventListener(
  "message",
  ({ data }: MessageEvent<WorkerSetup>) => {
    const carryOut = workerOf(data, (answer) => postMessage(answer))
    addEventListener("message", ({ data }: MessageEvent<WorkerOrder>) => carryOut(data))
  },
  { once: true },
)
