import { runConformance } from "../conformance/conformance.test.helper.js"
import { createCpuBackend } from "./node_cpu.js"

runConformance("cpu, fast, two threads", () => createCpuBackend({ threads: 2 }))
runConformance("cpu, exact, one thread", () => createCpuBackend({ threads: 1, precision: "exact" }))
