import { parentPort, workerData } from "node:worker_threads"

/** Sums a slice of shared memory as often as asked: as fast as a plain loop can read. */
const { buffer, offset, length } = workerData as { buffer: SharedArrayBuffer; offset: number; length: number }
const data = new Float64Array(buffer, offset, length)

/** Eight sums at once, so that additions do not wait for one another. */
function readAll(): number {
  let [a, b, c, d, e, f, g, h] = [0, 0, 0, 0, 0, 0, 0, 0]
  for (let i = 0; i + 7 < data.length; i += 8) {
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

parentPort?.on("message", () => parentPort?.postMessage(readAll()))
