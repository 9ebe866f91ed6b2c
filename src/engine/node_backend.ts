import type { Backend } from "../backends/backend.js"
import type { CpuOptions } from "../backends/cpu/backend.js"
import { createCpuBackend } from "../backends/cpu/node_cpu.js"
import { ReferenceBackend } from "../backends/reference/backend.js"
import { WebGpuBackend } from "../backends/webgpu/backend.js"
import { nodeGpu } from "../backends/webgpu/node_gpu.js"

export interface BackendOptions extends CpuOptions {
  /** `auto` takes the fastest that runs here. */
  readonly device?: "auto" | "gpu" | "cpu" | "reference"
  /** Threads of `cpu`; one per core by default. */
  readonly threads?: number
}

/** Opens the backend that the options name. @throws {BackendError} when it cannot run here */
export async function openBackend({ device = "auto", threads, precision }: BackendOptions): Promise<Backend> {
  if (device === "gpu") return WebGpuBackend.open(nodeGpu())
  return device === "reference" ? new ReferenceBackend() : createCpuBackend({ threads, precision })
}
