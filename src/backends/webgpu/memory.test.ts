import { expect, it } from "vitest"
import { memoryStats, Storage } from "../../tensor/storage.js"
import { describeWithGpu } from "./test_gpu.test.helper.js"

await describeWithGpu("GPU memory", {}, (_gpu, createBackend) => {
  it("extends a storage that it holds without a copy through the host", async () => {
    const backend = createBackend()
    // An odd number of 16-bit elements: the last word is half filled.
    const source = new Storage("source", "uint16", [5], { read: async (_, into) => void into.fill(7) })
    await backend.makeResident([source])
    const grown = Storage.extending(source, "grown", [8])
    const { bytes_copied } = memoryStats()
    await backend.makeResident([grown])
    expect(memoryStats().bytes_copied).toBe(bytes_copied)
    source.dispose()
    const bytes = new Uint8Array(16)
    await grown.read(0, bytes)
    expect([...bytes]).toEqual([7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0])
  })
})
