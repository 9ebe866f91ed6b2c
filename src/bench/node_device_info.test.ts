import { expect, it } from "vitest"
import { kernelsOf } from "../../test/backends/cpu/kernels.js"
import { CpuBackend } from "../backends/cpu/backend.js"
import { InlinePool } from "../backends/cpu/thread_pool.js"
import { deviceInfo } from "./node_device_info.js"

it("tells whether the kernels that the backend runs have relaxed SIMD", async () => {
  const relaxed = []
  for (const kernels of [await kernelsOf("kernels_relaxed"), await kernelsOf("kernels")]) {
    relaxed.push(deviceInfo(new CpuBackend(new InlinePool(kernels)), { threads: 1 }).relaxed_simd)
  }
  expect(relaxed).toEqual([true, false])
})
