import { runConformance } from "../../../test/backends/conformance/conformance.js"
import { describeWithGpu } from "../../../test/backends/webgpu/test_gpu.js"

await describeWithGpu("webgpu", { tier: "subgroups" }, (_, createBackend) =>
  runConformance("subgroups", createBackend, { part: 1, of: 11 }),
)
