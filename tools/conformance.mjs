// Runs the WebGPU backend's conformance suite on this machine's GPU, without vitest:
//
//   node tools/conformance.mjs [--tier core|subgroups|f16|matrix] [--filter text] [--share 2/3] [--max-binding bytes]
//   deno run -A --unstable-webgpu --import-map tools/conformance/import_map.json tools/conformance.mjs
//
// Needs dist/, test/backends/conformance/fixtures/ and the packages fast-check, pure-rand and, in Node, webgpu.
// One line per test with its failing cases, then a summary; the exit code is 1 when a test failed.
import { register } from "node:module"
import { parseArgs } from "node:util"

const isDeno = "Deno" in globalThis
if (!isDeno) register("./conformance/resolve.mjs", import.meta.url)

const { values } = parseArgs({
  options: {
    tier: { type: "string" },
    filter: { type: "string", default: "" },
    share: { type: "string", default: "1/1" },
    "max-binding": { type: "string" },
  },
})

const { Skip, tests } = await import("./conformance/vitest.mjs")
const { runConformance } = await import("../dist/test/backends/conformance/conformance.js")
const { WebGpuBackend } = await import("../dist/src/backends/webgpu/backend.js")
const { GpuDevice } = await import("../dist/src/backends/webgpu/device.js")
const { TIERS, tierOf } = await import("../dist/src/backends/webgpu/features.js")

if (values.tier && !TIERS.includes(values.tier)) {
  console.error(`--tier must be one of ${TIERS.join(", ")}, found ${values.tier}`)
  process.exit(2)
}
const maxBinding = values["max-binding"] ? Number(values["max-binding"]) : undefined
const gpu = await GpuDevice.open(await provider(), { tier: values.tier, maxBinding })
const tier = tierOf(gpu.features)
console.log(`${gpu.description}, ${isDeno ? "wgpu in Deno" : "Dawn in Node"}, tier ${tier}`)
if (values.tier && tier !== values.tier) {
  console.error(`the GPU has no tier ${values.tier}`)
  process.exit(2)
}

/** Tests share the device, so that each pipeline is compiled once. */
class SharedDeviceBackend extends WebGpuBackend {
  async close() {}
}
const [part, of] = values.share.split("/").map(Number)
runConformance("webgpu", () => new SharedDeviceBackend(gpu), { part: part - 1, of })

const counts = { ok: 0, skip: 0, FAIL: 0 }
const context = {
  skip(why) {
    throw new Skip(why)
  },
}
const chosen = tests.filter(({ path }) => path.join(" > ").includes(values.filter))
for (const { path, run } of chosen) {
  const start = performance.now()
  const error = await run(context).catch((error) => error)
  const outcome = !error ? "ok" : error instanceof Skip ? "skip" : "FAIL"
  counts[outcome]++
  console.log(`${outcome.padEnd(4)} ${path.slice(1).join(" > ")} (${Math.round(performance.now() - start)} ms)`)
  if (outcome === "FAIL")
    console.log([error.message, error.cause?.message].filter(Boolean).join("\n").replace(/^/gm, "     "))
}
console.log(`${counts.ok} passed, ${counts.skip} skipped, ${counts.FAIL} failed`)
gpu.close()
process.exit(counts.FAIL > 0 || counts.ok === 0 ? 1 : 0)

async function provider() {
  if (isDeno) return (await import("../dist/src/backends/webgpu/gpu_provider.js")).browserGpu()
  return (await import("../dist/src/backends/webgpu/node_gpu.js")).nodeGpu({ validate: true })
}
