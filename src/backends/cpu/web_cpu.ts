import { BackendError } from "../backend.js"
import { CpuBackend, type CpuOptions } from "./backend.js"
import { compileKernels } from "./kernel_module.js"
import { missingAsset } from "./missing_asset.js"
import { InlinePool } from "./thread_pool.js"
import { WebThreadPool } from "./web_thread_pool.js"

export interface WebCpuOptions extends CpuOptions {
  /**
   * The most threads that compute: what is small is computed by fewer. By default, and at most, one for each processor that the
   * browser tells of. 0 computes on the calling thread, and so does any number in a page that may not share memory.
   */
  readonly threads?: number
}

/**
 * The CPU backend in a browser, with Web Workers where the page is cross-origin isolated; browsers hide SharedArrayBuffer from
 * the others. Close it to end them.
 *
 * @throws BackendError when the kernels cannot be fetched
 */
export async function createCpuBackend({ threads, ...options }: WebCpuOptions = {}): Promise<CpuBackend> {
  const isShared = threads !== 0 && "SharedArrayBuffer" in globalThis
  const files = {
    fused: () => fetchKernels(new URL("./kernels_fused.wasm", import.meta.url)),
    relaxed: () => fetchKernels(new URL("./kernels_relaxed.wasm", import.meta.url)),
    baseline: () => fetchKernels(new URL("./kernels.wasm", import.meta.url)),
  }
  const kernels = await compileKernels(files, { isShared })
  if (!isShared) return new CpuBackend(new InlinePool(kernels), options)
  const { hardwareConcurrency } = navigator
  return new CpuBackend(
    new WebThreadPool(kernels, Math.min(threads ?? hardwareConcurrency, hardwareConcurrency)),
    options,
  )
}

async function fetchKernels(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const response = await fetch(url)
    const bytes = new Uint8Array(await response.arrayBuffer())
    // WebAssembly begins with a zero. Some servers answer with a page what they do not have.
    if (bytes[0] !== 0) throw new Error(`${response.status} ${response.statusText}`)
    return bytes
  } catch (cause) {
    throw new BackendError(missingAsset(url.href), { cause })
  }
}
