import type { Backend } from "../backends/backend.js"
import { WebGpuBackend } from "../backends/webgpu/backend.js"
import { measureGpuReadBandwidth } from "./gpu_read_bandwidth.js"
import { measureReadBandwidth } from "./node_read_bandwidth.js"

/** Bytes per second that the memory which `backend` reads weights from gives: the GPU's own, or that of `threads` CPU threads. */
export function measureRoofline(backend: Backend, threads: number): Promise<number> {
  return backend instanceof WebGpuBackend ? measureGpuReadBandwidth(backend.gpu) : measureReadBandwidth(threads)
}
