import { spawnSync } from "node:child_process"
import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as esbuild from "esbuild"
import * as vite from "vite"
import { afterAll, describe, expect, it } from "vitest"

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const kernels = ["kernels.wasm", "kernels_relaxed.wasm", "kernels_fused.wasm"]
const scratch = mkdtempSync(join(tmpdir(), "minerva-bundle-"))
const app = join(scratch, "app.js")
writeFileSync(join(scratch, "package.json"), '{ "type": "module" }')
writeFileSync(
  app,
  `import { loadModel } from ${JSON.stringify(path("./index.js"))}
  try {
    const model = await loadModel(${JSON.stringify(path("../../models/minerva-tiny"))}, { device: "cpu", threads: 2 })
    for await (const event of model.chat([{ role: "user", content: "What is 17 + 25?" }], { temperature: 0 })) {
      if (event.type === "summary") console.log(event.message.content)
    }
    await model.close()
  } catch (error) {
    console.log(error.name, error.message)
  }`,
)

afterAll(() => rmSync(scratch, { recursive: true }))

function run(folder: string): string {
  const { stdout, stderr } = spawnSync(process.execPath, [join(folder, "app.js")], { encoding: "utf8" })
  expect(stderr).toBe("")
  return stdout
}

describe("bundled with esbuild, which leaves files and workers to its user", () => {
  it.each([
    ["answers with all beside the bundle", "", /42/],
    ["says so without kernels", "kernels_fused.wasm", /^BackendError .*\/kernels_fused.wasm is missing: bundles of /],
    ["says so without the worker", "node_worker.js", /^BackendError .*node_worker.js is missing: bundles of /],
  ])("%s", async (_, missing, expected) => {
    const outdir = join(scratch, `without ${missing}`)
    const entryPoints = { app, node_worker: path("./backends/cpu/node_worker.js") }
    await esbuild.build({ entryPoints, outdir, bundle: true, platform: "node", format: "esm", external: ["webgpu"] })
    for (const file of kernels) copyFileSync(path(`./backends/cpu/${file}`), join(outdir, file))
    if (missing) rmSync(join(outdir, missing))
    expect(run(outdir)).toMatch(expected)
  })
})

it("bundled with vite, which finds kernels and worker by itself, answers", async () => {
  const external = [/^node:/, "webgpu"]
  await vite.build({
    configFile: false,
    root: scratch,
    base: "./",
    logLevel: "silent",
    build: {
      outDir: "vite",
      target: "node20",
      minify: false,
      rollupOptions: { input: app, external, output: { entryFileNames: "app.js" }, treeshake: false },
    },
    worker: { format: "es", rollupOptions: { external } },
  })
  const files = readdirSync(join(scratch, "vite/assets"))
  expect(files.filter((file) => file.endsWith(".wasm"))).toHaveLength(kernels.length)
  expect(run(join(scratch, "vite"))).toContain("42")
})
