import { runConformance } from "../../../test/backends/conformance/conformance.js"
import { describeWithGpu } from "../../../test/backends/webgpu/test_gpu.js"

await describeWithGpu("webgpu", { tier: "core" }, (_, createBackend) =>
  runConformance("core", createBackend, { part: 0, of: 11 }),
)
