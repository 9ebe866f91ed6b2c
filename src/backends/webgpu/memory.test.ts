import { afterAll, expect, it } from "vitest"
import { apply, constant, input, state } from "../../graph/build.js"
import { lower } from "../../graph/lower.js"
import { memoryStats, Storage } from "../../tensor/storage.js"
import { OutOfMemoryError } from "../backend.js"
import { WebGpuBackend } from "./backend.js"
import { limitDevice } from "../../../test/backends/webgpu/limited_device.js"
import { nodeGpu } from "./node_gpu.js"
import { describeWithGpu } from "../../../test/backends/webgpu/test_gpu.js"

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

  it("gives what is written a buffer of its own, where others share the one that it was loaded into", async () => {
    const backend = createBackend()
    const { memory } = backend
    const sevens = (name: string) => new Storage(name, "uint32", [4], { read: async (_, into) => void into.fill(7) })
    const [a, b] = [sevens("a"), sevens("b")]
    await backend.makeResident([a, b])
    expect(memory.blockOf(a).buffer).toBe(memory.blockOf(b).buffer)
    await memory.makeWritable(a)
    expect(memory.blockOf(a).buffer).not.toBe(memory.blockOf(b).buffer)
    const moved = memory.blockOf(b)
    await memory.makeWritable(b)
    expect(memory.blockOf(b)).toBe(moved)
    const bytes = new Uint8Array(16)
    await a.read(0, bytes)
    expect([...bytes]).toEqual(new Array(16).fill(7))
    a.dispose()
    b.dispose()
    // What is left is kept for the next read.
    expect(memory.buffers.bytes).toBe(256)
  })
})

await describeWithGpu("a GPU that runs out of memory", {}, () => {
  const opened: WebGpuBackend[] = []
  afterAll(async () => {
    for (const backend of opened) await backend.close()
  })
  const open = async () => {
    const backend = await WebGpuBackend.open(await nodeGpu({ validate: true }))
    opened.push(backend)
    return backend
  }

  /** Two weights, a state, an input, intermediate values and a result. */
  const program = () => {
    const weight = (name: string) =>
      constant(new Storage(name, "float32", [1000], { read: async (_, into) => void into.fill(0) }))
    const add = { kind: "binary", fn: "add" } as const
    const first = apply(add, { a: weight("a"), b: input("x", [1000], "float32") }).y
    const sum = apply(add, { a: first, b: weight("b") }).y
    const kept = state(new Storage("state", "float32", [1000], null))
    return lower({
      outputs: [apply({ kind: "unary", fn: "exp" }, { x: sum }).y],
      effects: [apply({ kind: "put" }, { state: kept, x: sum, indices: input("indices", [1000], "uint32") }).state],
    })
  }

  it("is one error whichever buffer is the first that does not fit; nothing is left, and it goes on", async () => {
    const backend = await open()
    const { buffers } = backend.memory
    let refused = 0
    for (let granted = 0; ; granted++) {
      const device = limitDevice(backend.gpu.device, granted)
      const error = await backend.compile(program()).then(
        (executable) => executable.dispose(),
        (error: Error) => error,
      )
      device.restore()
      if (device.asked <= granted) {
        expect(error).toBeUndefined()
        break
      }
      expect(error).toBeInstanceOf(OutOfMemoryError)
      expect((error as Error).message).toMatch(/ is out of memory: there is no room for .+B, beside .+ in \d+ buffers$/)
      expect({ asked: device.asked, uncaptured: device.uncaptured, left: buffers.bytes }).toEqual({
        asked: granted + 1,
        uncaptured: 0,
        left: 0,
      })
      refused++
    }
    // Weights, state, result, input, parameters, intermediate values, staging.
    expect(refused).toBe(7)
    await backend.gpu.settle()
  })

  it("is one error for a read, too, and leaves what was read", async () => {
    const backend = await open()
    const array = new Storage("array", "float32", [1000], { read: async (_, into) => void into.fill(1) })
    await backend.makeResident([array])
    const device = limitDevice(backend.gpu.device, 0)
    await expect(array.read(0, new Uint8Array(4000))).rejects.toThrow(OutOfMemoryError)
    device.restore()
    expect(device.uncaptured).toBe(0)
    const bytes = new Uint8Array(4000)
    await array.read(0, bytes)
    expect(bytes[3999]).toBe(1)
  })
})

await describeWithGpu("a workspace", {}, () => {
  it("moves as a program joins that needs more, and programs compiled before follow", async () => {
    const backend = await WebGpuBackend.open(await nodeGpu({ validate: true }))
    const doubled = (n: number) => {
      const x = input("x", [n], "float32")
      const twice = apply({ kind: "binary", fn: "add" }, { a: x, b: x }).y
      return lower({ outputs: [apply({ kind: "unary", fn: "abs" }, { x: twice }).y] })
    }
    const [small, large] = [doubled(8), doubled(5000)]
    const first = await backend.compile(small)
    await first.replay({ x: new Float32Array(8).fill(1) })
    const { buffer } = backend.memory.workspace
    const second = await backend.compile(large)
    expect(backend.memory.workspace.buffer).not.toBe(buffer)
    await first.replay({ x: new Float32Array(8).fill(-3) })
    await second.replay({ x: new Float32Array(5000).fill(2) })
    const found = new Float32Array(8)
    await small.results[0].read(0, new Uint8Array(found.buffer))
    expect([...found]).toEqual(new Array(8).fill(6))
    for (const executable of [first, second]) executable.dispose()
    expect(backend.memory.workspace.buffer).toBeNull()
    await backend.close()
  })
})
