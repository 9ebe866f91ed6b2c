import { afterEach, expect, it } from "vitest"
import { apply, input } from "../../graph/build.js"
import { lower } from "../../graph/lower.js"
import { Storage } from "../../tensor/storage.js"
import { BackendError } from "../backend.js"
import { WebGpuBackend } from "./backend.js"
import { nodeGpu } from "./node_gpu.js"
import { describeWithGpu } from "../../../test/backends/webgpu/test_gpu.js"

const doubling = () => {
  const x = input("x", [4], "float32")
  return lower({ outputs: [apply({ kind: "binary", fn: "add" }, { a: x, b: x }).y] })
}

await describeWithGpu("GPU errors", {}, () => {
  const opened: WebGpuBackend[] = []
  const open = async () => {
    const backend = await WebGpuBackend.open(await nodeGpu({ validate: true }))
    opened.push(backend)
    return backend
  }
  afterEach(async () => {
    for (const backend of opened.splice(0)) await backend.close()
  })

  it("names the kernel and the line that the compiler refuses, and goes on", async () => {
    const { gpu } = await open()
    const broken = gpu.pipeline("broken kernel", "@compute @workgroup_size(1)\nfn main() { let a: u32 = 1.5; }")
    await expect(broken).rejects.toThrow(BackendError)
    await expect(broken).rejects.toThrow(/broken kernel: line 2: .+/)
    await gpu.settle()
    await gpu.pipeline("fine", "@compute @workgroup_size(1) fn main() {}")
  })

  it("refuses storages that no GPU can hold", async () => {
    const backend = await open()
    const absurd = new Storage("absurd", "float32", [2 ** 50], null)
    await expect(backend.makeResident([absurd])).rejects.toThrow(BackendError)
    expect(absurd.replicaIn(backend)).toBeUndefined()
  })

  it("refuses every call once the device is gone, and nothing hangs", async () => {
    const backend = await open()
    const program = doubling()
    const executable = await backend.compile(program)
    await executable.replay({ x: new Float32Array(4) })
    backend.gpu.device.destroy()
    const [result] = program.results
    await expect(result.read(0, new Uint8Array(16))).rejects.toThrow(BackendError)
    await expect(executable.replay({ x: new Float32Array(4) })).rejects.toThrow(BackendError)
    await expect(backend.fence()).rejects.toThrow(BackendError)
    await expect(backend.compile(doubling())).rejects.toThrow(BackendError)
    await expect(backend.makeResident([new Storage("late", "float32", [4], null)])).rejects.toThrow(BackendError)
  })

  it("reports what the device refuses after the call that caused it", async () => {
    const { gpu } = await open()
    gpu.device.createBuffer({ size: 3, usage: 0 })
    await expect(gpu.settle()).rejects.toThrow("the GPU refused")
    expect(() => gpu.check()).toThrow(BackendError)
  })
})
