import { createCpuBackend } from "../backends/cpu/node_cpu.js"
import type { GpuProvider } from "../backends/webgpu/gpu_provider.js"
import { type BackendOptions, type OpenedBackend, openBackendOf } from "./open_backend.js"

/**
 * Opens the backend that the options name.
 *
 * @throws {ParameterError} for an option that is not known or not what it should be
 * @throws {BackendError} when the device cannot run here; never with `auto` for want of a GPU
 */
export async function openBackend(options?: BackendOptions): Promise<OpenedBackend>
/**
 * @param openGpu where the GPU comes from; asked only when the device may be one
 * @internal
 */
export async function openBackend(options: BackendOptions, openGpu: () => Promise<GpuProvider>): Promise<OpenedBackend>
export async function openBackend(
  options?: BackendOptions,
  openGpu: () => Promise<GpuProvider> = async () => (await import("../backends/webgpu/node_gpu.js")).nodeGpu(),
): Promise<OpenedBackend> {
  const gpuAdvice = "install the GPU's driver, or use --device cpu"
  return openBackendOf({ cpu: createCpuBackend, gpu: openGpu, gpuAdvice }, options)
}
