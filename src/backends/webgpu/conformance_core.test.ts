import { runConformance } from "../conformance/conformance.test.helper.js"
import { describeWithGpu } from "./test_gpu.test.helper.js"

await describeWithGpu("webgpu", { tier: "core" }, (_, createBackend) =>
  runConformance("core", createBackend, { part: 0, of: 11 }),
)
