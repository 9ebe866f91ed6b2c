import { afterAll, expect, it } from "vitest"
import { createCpuBackend } from "../backends/cpu/node_cpu.js"
import { describeWithGpu } from "../../test/backends/webgpu/test_gpu.js"
import * as mx from "./mx.js"

await describeWithGpu("placement on a CPU and a GPU", {}, (_, createBackend) => {
  const large = createBackend()
  const opened = createCpuBackend({ threads: 1, precision: "exact" })
  afterAll(async () => {
    await (await opened).close()
    await large.close()
  })

  it("carries values from one to the other", async () => {
    const small = await opened
    const device = mx.autoDevice({ small, large })
    const ones = mx.add(mx.array(Float32Array.of(0.5)), mx.array(Float32Array.of(0.5)))
    await mx.evaluate([ones], device)
    expect(ones.storage.replicaIn(small)).toBeDefined()
    const big = mx.sum(mx.multiply(mx.zeros([1 << 19]), ones))
    const sums = mx.add(big, ones)
    await mx.evaluate([sums], device)
    expect(sums.storage.replicaIn(large)).toBeDefined()
    expect(await sums.data()).toEqual(Float32Array.of(1))
  })
})
