import { BackendError } from "../backend.js"
import type { GpuProvider } from "./gpu_provider.js"
import { paceTurns } from "./node_gpu_turns.js"

export interface NodeGpuOptions {
  /** Check every call and every index: slower, and what tests want. */
  readonly validate?: boolean
}

let isPaced = false

/**
 * Dawn, through the `webgpu` package: Metal on macOS, Vulkan on Linux, Direct3D 12 on Windows. Loaded when asked for,
 * since the package has no binary for some platforms.
 *
 * @throws BackendError where the package, or what it needs of the system, cannot be loaded
 */
export async function nodeGpu({ validate = false }: NodeGpuOptions = {}): Promise<GpuProvider> {
  if (process.platform === "linux" && !hasLibrary("libvulkan.so.1")) {
    throw new BackendError("no GPU found (the Vulkan loader libvulkan.so.1 is missing)")
  }
  const { create, globals } = await import("webgpu").catch((error: Error) => {
    const [firstLine] = error.message.split("\n")
    throw new BackendError(`no WebGPU on ${process.platform} ${process.arch} (${firstLine})`)
  })
  if (!isPaced) paceTurns(globals as Parameters<typeof paceTurns>[0])
  isPaced = true
  const enable = ["allow_unsafe_apis", "vulkan_enable_f16_on_nvidia"]
  if (!validate) enable.push("skip_validation", "disable_robustness")
  // Workgroup memory is zeroed by a loop in the kernel: drivers that unroll the extension's way compile for seconds.
  const disable = ["timestamp_quantization", "use_vulkan_zero_initialize_workgroup_memory_extension"]
  return create([`enable-dawn-features=${enable.join(",")}`, `disable-dawn-features=${disable.join(",")}`])
}

/** Whether the system finds a shared library. Dawn looks too, but writes a warning into the user's terminal. */
function hasLibrary(name: string): boolean {
  try {
    process.dlopen({ exports: {} }, name)
    return true
  } catch (error) {
    // A library that is no addon is found, and then refused.
    return !(error as Error).message.includes("cannot open shared object file")
  }
}
