import { parentPort, workerData } from "node:worker_threads"

/** Sums a slice of shared memory as often as asked: as fast as a plain loop can read. */
const { buffer, offset, length } = workerData as { buffer: SharedArrayBuffer; offset: number; length: number }
const data = new Float64Array(buffer, offset, length)

/** Eight sums at once, so that additions do not wait for one another. */
function sum(end: number): number {
  let a = 0.5
  let b = 0.5
  let c = 0.5
  let d = 0.5
  let e = 0.5
  let f = 0.5
  let g = 0.5
  let h = 0.5
  for (let i = 0; i + 7 < end; i += 8) {
    a += data[i]
    b += data[i + 1]
    c += data[i + 2]
    d += data[i + 3]
    e += data[i + 4]
    f += data[i + 5]
    g += data[i + 6]
    h += data[i + 7]
  }
  return a + b + c + d + e + f + g + h
}

// Short calls first: V8 compiles the loop fully only after some, and a pass would be timed half compiled.
for (let i = 0; i < 20_000; i++) sum(Math.min(1024, length))
parentPort?.on("message", () => parentPort?.postMessage(sum(length)))
