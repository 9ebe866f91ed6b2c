import { afterAll } from "vitest"
import { runConformance } from "../conformance/conformance.test.helper.js"
import { WebGpuBackend } from "./backend.js"
import { GpuDevice } from "./device.js"
import type { Tier } from "./features.js"
import { nodeGpu } from "./node_gpu.js"

/** Tests share a device, so that each pipeline is compiled once. */
class SharedDeviceBackend extends WebGpuBackend {
  override async close(): Promise<void> {}
}

for (const tier of ["core", "subgroups"] as Tier[]) {
  const gpu = await GpuDevice.open(nodeGpu({ validate: true }), { tier })
  afterAll(() => gpu.close())
  runConformance(`webgpu, ${tier}`, () => new SharedDeviceBackend(gpu))
}
