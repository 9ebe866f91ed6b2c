import { spawn } from "node:child_process"
import { expect, it } from "vitest"
import { describeWithGpu } from "../../../test/backends/webgpu/test_gpu.js"
import { kernelTexts } from "../../../test/backends/webgpu/kernels/kernel_texts.js"

const RUNNER = ["run", "-A", "--unstable-webgpu", "--import-map", "tools/conformance/import_map.json"]

/** Runs a script of tools/ in Deno: its exit code, and what it printed. */
async function inDeno(...args: string[]): Promise<{ code: unknown; output: string }> {
  const deno = spawn("npx", ["deno", ...RUNNER, ...args], { stdio: ["ignore", "pipe", "pipe"] })
  let output = ""
  for (const stream of [deno.stdout, deno.stderr]) stream.on("data", (text) => (output += text))
  return { code: await new Promise((resolve) => deno.on("close", resolve)), output }
}

/** A second implementation: what Firefox and Deno run. Its compiler must take the kernels too. */
await describeWithGpu("webgpu through wgpu, in Deno", {}, () => {
  it("passes the conformance suite", async () => {
    const { code, output } = await inDeno("tools/conformance.mjs", "--share", "1/11")
    const failures = output.split("\n").filter((line) => !/^(ok|skip) /.test(line))
    expect(code, failures.join("\n")).toBe(0)
    expect(output).toMatch(/^\d+ passed, \d+ skipped, 0 failed$/m)
  })

  it("takes every kernel's text but those of subgroups and matrices", async () => {
    const { code, output } = await inDeno("tools/conformance/compile_texts.mjs")
    const lines = output.trim().split("\n")
    const others = lines.filter((line) => !/^(ok {3}|skip .* \((?=f16|subgroups))/.test(line))
    expect({ code, others }).toEqual({ code: 0, others: [] })
    const texts = (await kernelTexts()).flatMap(({ kernels }) => kernels)
    expect(lines).toHaveLength(texts.length)
    const plain = texts.filter(({ code }) => !code.includes("enable "))
    expect(lines.filter((line) => line.startsWith("ok")).length).toBeGreaterThanOrEqual(plain.length)
  })
})
