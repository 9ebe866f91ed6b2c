import { create } from "webgpu"
import type { GpuProvider } from "./gpu_provider.js"

export interface NodeGpuOptions {
  /** Check every call and every index: slower, and what tests want. */
  readonly validate?: boolean
}

/** Dawn, through the `webgpu` package: Metal on macOS, Vulkan on Linux, Direct3D 12 on Windows. */
export function nodeGpu({ validate = false }: NodeGpuOptions = {}): GpuProvider {
  const enable = ["allow_unsafe_apis", "vulkan_enable_f16_on_nvidia"]
  if (!validate) enable.push("skip_validation", "disable_robustness")
  // Workgroup memory is zeroed by a loop in the kernel: drivers that unroll the extension's way compile for seconds.
  const disable = ["timestamp_quantization", "use_vulkan_zero_initialize_workgroup_memory_extension"]
  return create([`enable-dawn-features=${enable.join(",")}`, `disable-dawn-features=${disable.join(",")}`])
}
