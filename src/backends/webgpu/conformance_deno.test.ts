import { spawn } from "node:child_process"
import { expect, it } from "vitest"
import { describeWithGpu } from "../../../test/backends/webgpu/test_gpu.js"

const RUNNER = ["run", "-A", "--unstable-webgpu", "--import-map", "tools/conformance/import_map.json"]

/** A second implementation: what Firefox and Deno run. Its compiler must take the kernels too. */
await describeWithGpu("webgpu through wgpu, in Deno", {}, () => {
  it("passes the conformance suite", async () => {
    const args = ["deno", ...RUNNER, "tools/conformance.mjs", "--share", "1/11"]
    const deno = spawn("npx", args, { stdio: ["ignore", "pipe", "pipe"] })
    let output = ""
    for (const stream of [deno.stdout, deno.stderr]) stream.on("data", (text) => (output += text))
    const code = await new Promise((resolve) => deno.on("close", resolve))
    const failures = output.split("\n").filter((line) => !/^(ok|skip) /.test(line))
    expect(code, failures.join("\n")).toBe(0)
    expect(output).toMatch(/^\d+ passed, \d+ skipped, 0 failed$/m)
  })
})
