import { readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { setFlagsFromString } from "node:v8"
import { BackendError } from "../backend.js"
import { CpuBackend, type CpuOptions } from "./backend.js"
import { missingAsset } from "./node_asset.js"
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
 * The kernels for what this engine has: with relaxed SIMD (fused multiply-add, plain byte shuffles, dot products of bytes) or without,
 * and, where those dot products take weights of eight bits, with sums of them in one instruction.
 */
export async function loadKernels(): Promise<WebAssembly.Module> {
  const fused = await readKernels("kernels_fused")
  // Node 20 has the instructions, finished, one V8 release before they were on by default.
  if (!WebAssembly.validate(fused)) setFlagsFromString("--experimental-wasm-relaxed-simd")
  if (!WebAssembly.validate(fused)) return WebAssembly.compile(await readKernels("kernels"))
  const module = await WebAssembly.compile(fused)
  return hasExactDots(module) ? module : WebAssembly.compile(await readKernels("kernels_relaxed"))
}

/** Whether dot products of bytes take weights of eight bits as unsigned, and add them without saturating. */
function hasExactDots(kernels: WebAssembly.Module): boolean {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true })
  const { exports } = new WebAssembly.Instance(kernels, { env: { memory } })
  return (exports.dotsAreExact as () => number)() !== 0
}

async function readKernels(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const url = new URL(`./${name}.wasm`, import.meta.url)
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
  const module = await loadKernels()
  if (threads === 0) return new CpuBackend(new InlinePool(module), options)
  return new CpuBackend(new NodeThreadPool(module, threadsFor(threads)), options)
}
