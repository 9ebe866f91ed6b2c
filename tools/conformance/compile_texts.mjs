// Compiles the reviewed WGSL of every kernel (test/backends/webgpu/kernels/) with this runtime's WebGPU:
//
//   deno run -A --unstable-webgpu --import-map tools/conformance/import_map.json tools/conformance/compile_texts.mjs
//
// A line per kernel: ok, FAIL with what the compiler says, or skip with the extensions that the device, or the compiler, does not
// have. Of wgpu these are: subgroups (naga knows the functions, not the directive) and subgroup matrices; and what comes with
// them in one text: f16 pairs made of a word's bits.
import { kernelTexts } from "../../dist/test/backends/webgpu/kernels/kernel_texts.js"
import { GpuDevice } from "../../dist/src/backends/webgpu/device.js"
import { browserGpu } from "../../dist/src/backends/webgpu/gpu_provider.js"

/** The WebGPU feature that a WGSL extension comes with. */
const FEATURES = {
  f16: "shader-f16",
  subgroups: "subgroups",
  chromium_experimental_subgroup_matrix: "chromium-experimental-subgroup-matrix",
}

const gpu = await GpuDevice.open(browserGpu())
let failed = false
for (const { name, kernels } of await kernelTexts()) {
  for (const { label, code } of kernels) {
    const enabled = [...code.matchAll(/^enable (\w+);/gm)].map(([, extension]) => extension)
    const missing = enabled.filter((extension) => !gpu.device.features.has(FEATURES[extension]))
    if (missing.length > 0) {
      console.log(`skip ${name}: ${label} (${missing})`)
      continue
    }
    const error = await gpu.pipeline(label, code).then(
      () => null,
      (error) => error,
    )
    console.log(error ? `FAIL ${name}: ${error.message}` : `ok   ${name}: ${label}`)
    failed ||= error !== null
  }
}
gpu.close()
process.exit(failed ? 1 : 0)
