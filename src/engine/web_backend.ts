import { BackendError } from "../backends/backend.js"
import { createCpuBackend } from "../backends/cpu/web_cpu.js"
import { browserGpu } from "../backends/webgpu/gpu_provider.js"
import { type BackendOptions, type Devices, type OpenedBackend, openBackendOf } from "./open_backend.js"

const BROWSER: Devices = {
  cpu: createCpuBackend,
  gpu: async () => {
    const gpu = browserGpu()
    if (!gpu) throw new BackendError("no GPU found (this browser has no WebGPU, or not for this page)")
    return gpu
  },
  gpuAdvice: "use the device cpu, or a browser with WebGPU",
}

/** As in Node, with the devices of a browser. */
export function openBackend(options?: BackendOptions): Promise<OpenedBackend> {
  return openBackendOf(BROWSER, options)
}
