import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { expect, it } from "vitest"
import { runConformance } from "../conformance/conformance.test.helper.js"
import { createCpuBackend } from "./node_cpu.js"

runConformance("cpu, fast, two threads", () => createCpuBackend({ threads: 2 }))
runConformance("cpu, exact, one thread", () => createCpuBackend({ threads: 1, precision: "exact" }))

it("keeps the process until it is closed", async () => {
  // Node ends with code 13 where an await at the top is left with nothing to wait for; a race, hence the repetition.
  const script = `
    import { createCpuBackend } from ${JSON.stringify(new URL("./node_cpu.js", import.meta.url).href)}
    for (let i = 0; i < 20; i++) await (await createCpuBackend({ threads: 2 })).close()
    console.log("closed")
  `
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script])
  expect(stdout).toBe("closed\n")
})
