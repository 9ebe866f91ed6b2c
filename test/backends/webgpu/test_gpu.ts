import { describe, vi } from "vitest"
import { WebGpuBackend } from "../../../src/backends/webgpu/backend.js"
import { type DeviceOptions, GpuDevice } from "../../../src/backends/webgpu/device.js"
import { nodeGpu } from "../../../src/backends/webgpu/node_gpu.js"

/** Tests share a device, so that each pipeline is compiled once. */
class SharedDeviceBackend extends WebGpuBackend {
  override async close(): Promise<void> {}
}

/**
 * Opens a device for a file's tests, and declares them; without any adapter they are skipped, but in CI that is a
 * failure. The device stays open until the process ends.
 */
export async function describeWithGpu(
  name: string,
  options: DeviceOptions,
  tests: (gpu: GpuDevice, createBackend: () => WebGpuBackend) => void,
): Promise<void> {
  const gpu = await GpuDevice.open(await nodeGpu({ validate: true }), options).catch((error: Error) => {
    if (process.env.CI) throw error
    return null
  })
  // SwiftShader takes seconds to compile a large kernel.
  vi.setConfig({ testTimeout: 600_000 })
  if (gpu) describe(name, () => tests(gpu, () => new SharedDeviceBackend(gpu)))
  else describe.skip(`${name}: skipped, as there is neither a GPU nor SwiftShader`, () => {})
}
