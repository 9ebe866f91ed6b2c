import type { Backend } from "../backends/backend.js"
import { CpuBackend } from "../backends/cpu/backend.js"
import { threadsFor } from "../backends/cpu/node_cpu.js"
import { WebGpuBackend } from "../backends/webgpu/backend.js"
import { tierOf } from "../backends/webgpu/features.js"
import type { BackendOptions } from "../engine/open_backend.js"

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

export function deviceInfo(backend: Backend, options: BackendOptions): DeviceInfo {
  if (!(backend instanceof WebGpuBackend)) {
    const simd = backend instanceof CpuBackend && { relaxed_simd: backend.pool.kernels.isRelaxed }
    return { backend: backend.name, threads: threadsOf(options), ...simd }
  }
  const { description, features } = backend.gpu
  return { backend: backend.name, adapter: description, tier: tierOf(features) }
}

/** Threads that a CPU backend opened with these options has. */
export function threadsOf({ threads }: BackendOptions): number {
  return threadsFor(threads)
}
