import { readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { setFlagsFromString } from "node:v8"
import { BackendError } from "../backend.js"
import { CpuBackend, type CpuOptions } from "./backend.js"
import { compileKernels, type KernelModule } from "./kernel_module.js"
import { missingAsset } from "./missing_asset.js"
import { coresAvailable } from "./node_cores.js"
import { NodeThreadPool } from "./node_thread_pool.js"
import { InlinePool } from "./thread_pool.js"

export interface NodeCpuOptions extends CpuOptions {
  /**
   * The most threads that compute: what is small is computed by fewer. By default, and at most, one for each processor
   * that affinity and CPU quotas leave. 0 computes on the calling thread, which then does nothing else meanwhile.
   */
  readonly threads?: number
}

/**
 * The kernels for this Node.
 *
 * @param isShared whether they are to work in memories that threads share, as those of threads do
 */
export async function loadKernels(isShared = true): Promise<KernelModule> {
  const fused = await readKernels(new URL("./kernels_fused.wasm", import.meta.url))
  // Node 20 has the instructions, finished, one V8 release before they were on by default.
  if (!WebAssembly.validate(fused)) setFlagsFromString("--experimental-wasm-relaxed-simd")
  const files = {
    fused: async () => fused,
    relaxed: () => readKernels(new URL("./kernels_relaxed.wasm", import.meta.url)),
    baseline: () => readKernels(new URL("./kernels.wasm", import.meta.url)),
  }
  return compileKernels(files, { isShared })
}

async function readKernels(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await readFile(url)
  } catch (cause) {
    throw new BackendError(missingAsset(fileURLToPath(url)), { cause })
  }
}

/** How many threads there will be where so many, or any number, are wanted: more than processors only hinder each other. */
export function threadsFor(wanted = Number.POSITIVE_INFINITY): number {
  return Math.min(wanted, coresAvailable())
}

/** The CPU backend under Node, with worker threads. Close it to end them; they do not keep the process alive. */
export async function createCpuBackend({ threads, ...options }: NodeCpuOptions = {}): Promise<CpuBackend> {
  const kernels = await loadKernels()
  if (threads === 0) return new CpuBackend(new InlinePool(kernels), options)
  return new CpuBackend(new NodeThreadPool(kernels, threadsFor(threads)), options)
}
