import type { Backend } from "../backends/backend.js"
import { threadsFor } from "../backends/cpu/node_cpu.js"
import { WebGpuBackend } from "../backends/webgpu/backend.js"
import { tierOf } from "../backends/webgpu/features.js"
import type { BackendOptions } from "../engine/node_backend.js"

/** Where a measurement ran. */
export interface DeviceInfo {
  readonly backend: string
  /** Of a backend on the CPU. */
  readonly threads?: number
  /** Of `cpu`: whether its kernels are those with relaxed SIMD. */
  readonly relaxed_simd?: boolean
  /** The GPU's name, and the highest tier of kernels that it runs. */
  readonly adapter?: string
  readonly tier?: string
}

/** The smallest module that only an engine with relaxed SIMD takes: `i8x16.relaxed_swizzle` of two vectors, dropped. */
const RELAXED_MODULE = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0],
  ...[65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11],
)

export function deviceInfo(backend: Backend, options: BackendOptions): DeviceInfo {
  if (!(backend instanceof WebGpuBackend)) {
    const isCpu = backend.name === "cpu"
    // As the backend chose its kernels when it was opened: see `loadKernels`.
    const simd = isCpu && { relaxed_simd: WebAssembly.validate(RELAXED_MODULE) }
    return { backend: backend.name, threads: threadsOf(options), ...simd }
  }
  const { description, features } = backend.gpu
  return { backend: backend.name, adapter: description, tier: tierOf(features) }
}

/** Threads that a CPU backend opened with these options has. */
export function threadsOf({ threads }: BackendOptions): number {
  return threadsFor(threads)
}
