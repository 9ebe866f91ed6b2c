import { expect, it, vi } from "vitest"
import * as mx from "../../array/mx.js"
import { apply, input } from "../../graph/build.js"
import type { Value } from "../../ir/value.js"
import { lower } from "../../graph/lower.js"
import { describeWithGpu } from "../../../test/backends/webgpu/test_gpu.js"

await describeWithGpu("compiling for the GPU", {}, (_gpu, createBackend) => {
  it("tells how many kernels are compiled, each counted once", async () => {
    const x = input("x", [4], "float32")
    const doubled = apply({ kind: "binary", fn: "add" }, { a: x, b: x }).y
    const twice = (value: Value) => apply({ kind: "binary", fn: "add" }, { a: value, b: value }).y
    // The second and the third double what the GPU computed, and are one kernel.
    const program = lower({ outputs: [apply({ kind: "unary", fn: "exp" }, { x: twice(twice(doubled)) }).y] })
    const calls: [number, number][] = []
    const executable = await createBackend().compile(program, { onCompile: (...call) => calls.push(call) })
    executable.dispose()
    const total = program.instructions.length - 1
    expect(total).toBe(3)
    expect(calls).toEqual(Array.from({ length: total }, (_, i) => [i + 1, total]))
  })

  it("leaves no buffer behind when told to stop", async () => {
    const backend = createBackend()
    const { device } = backend.gpu
    const create = vi.spyOn(device, "createBuffer")
    const compiling = mx.compile({ x: { shape: [4], dtype: "float32" } }, ({ x }) => ({ outputs: [mx.exp(x)] }), {
      device: backend,
      signal: AbortSignal.abort(new Error("stop")),
    })
    await expect(compiling).rejects.toThrow("stop")
    const buffers = create.mock.results.map(({ value }) => value as GPUBuffer)
    create.mockRestore()
    expect(buffers.length).toBeGreaterThan(1)
    for (const buffer of buffers) {
      device.pushErrorScope("validation")
      device.queue.writeBuffer(buffer, 0, new Uint8Array(4))
      expect((await device.popErrorScope())?.message).toMatch(/destroyed/)
    }
  })
})
