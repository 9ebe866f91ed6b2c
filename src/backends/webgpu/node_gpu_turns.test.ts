import { afterEach, expect, it } from "vitest"
import { paceTurns } from "./node_gpu_turns.js"

const own = globalThis.setImmediate
afterEach(() => {
  globalThis.setImmediate = own
})

/** As Dawn's: looks in turns that it asks the global setImmediate for, until so many milliseconds are over. */
function fakeClasses() {
  const told = { looks: 0, asked: 0 }
  class GPUBuffer {
    mapAsync(ms: number): Promise<string> {
      const end = performance.now() + ms
      return new Promise((resolve, reject) => {
        const look = () => {
          told.looks++
          if (performance.now() < end) globalThis.setImmediate(look)
          else if (ms < 0) reject(new Error("refused"))
          else resolve("mapped")
        }
        globalThis.setImmediate(look)
      })
    }
  }
  return { GPUBuffer, told }
}

it("lets Dawn look now and then instead of in every turn, and leaves the global function alone", async () => {
  const { GPUBuffer, told } = fakeClasses()
  globalThis.setImmediate = ((...args: Parameters<typeof own>) => {
    told.asked++
    return own(...args)
  }) as typeof own
  const mine = globalThis.setImmediate
  paceTurns({ GPUBuffer })
  const buffer = new GPUBuffer()
  const waiting = Promise.all([buffer.mapAsync(30), buffer.mapAsync(60)])
  expect(globalThis.setImmediate).toBe(mine)
  expect(await waiting).toEqual(["mapped", "mapped"])
  await expect(buffer.mapAsync(-1)).rejects.toThrow("refused")
  expect(globalThis.setImmediate).toBe(mine)
  expect(told.asked).toBe(0)
  // A turn of the event loop takes microseconds.
  expect(told.looks).toBeGreaterThan(10)
  expect(told.looks).toBeLessThan(300)
})
