// Asks minerva-tiny fifty questions on the GPU and on `cpu` in exact mode: node tools/same-answers.mjs [TIER = subgroups]
// Greedy answers must be the same token by token; exit code 1 where one is not. `npm run build` first.
import { createCpuBackend } from "../dist/src/backends/cpu/node_cpu.js"
import { WebGpuBackend } from "../dist/src/backends/webgpu/backend.js"
import { GpuDevice } from "../dist/src/backends/webgpu/device.js"
import { nodeGpu } from "../dist/src/backends/webgpu/node_gpu.js"
import { fifty, greedyTokens } from "../dist/test/engine/fifty_prompts.js"

const device = await GpuDevice.open(await nodeGpu(), { tier: process.argv[2] ?? "subgroups" })
const expected = []
for await (const tokens of greedyTokens(await createCpuBackend({ precision: "exact" }), fifty)) expected.push(tokens)

let [asked, same, total] = [0, 0, 0]
for await (const tokens of greedyTokens(new WebGpuBackend(device, "exact"), fifty)) {
  const isSame = `${tokens}` === `${expected[asked]}`
  const question = fifty[asked].messages.at(-1).content
  if (isSame) same++
  total += tokens.length
  asked++
  console.log(`${asked}: ${question} ${isSame ? "same" : `gpu ${tokens}, cpu ${expected[asked - 1]}`}`)
}
console.log(`${device.description}: ${same} of ${fifty.length} answers the same, ${total} tokens`)
process.exit(same === fifty.length ? 0 : 1)
