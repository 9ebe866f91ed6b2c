import { runConformance } from "../conformance/conformance.test.helper.js"
import { describeWithGpu } from "./test_gpu.test.helper.js"

await describeWithGpu("webgpu", { tier: "subgroups" }, (_, createBackend) =>
  runConformance("subgroups", createBackend, { part: 1, of: 11 }),
)
