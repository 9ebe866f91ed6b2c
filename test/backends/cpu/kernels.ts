import { readFile } from "node:fs/promises"
import type { KernelModule } from "../../../src/backends/cpu/kernel_module.js"
import { loadKernels } from "../../../src/backends/cpu/node_cpu.js"

export type KernelFile = "kernels" | "kernels_relaxed" | "kernels_fused"

/** The kernels of a file, whichever this engine would choose. */
export async function kernelsOf(name: KernelFile): Promise<KernelModule> {
  // So that Node 20 takes relaxed SIMD.
  await loadKernels()
  const bytes = await readFile(new URL(`../../../src/backends/cpu/${name}.wasm`, import.meta.url))
  return { module: await WebAssembly.compile(bytes), isRelaxed: name !== "kernels", isShared: true }
}
