import { describe } from "vitest"
import { itConforms } from "../conformance.test.helper.js"
import { createCpuBackend } from "./node_cpu.js"

describe("cpu, fast, two threads", () => {
  itConforms(() => createCpuBackend({ threads: 2 }))
})

describe("cpu, exact, one thread", () => {
  itConforms(() => createCpuBackend({ threads: 1, precision: "exact" }))
})
