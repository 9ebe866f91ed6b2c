import { expect, it } from "vitest"
import type { Backend } from "../backends/backend.js"
import { createCpuBackend } from "../backends/cpu/node_cpu.js"
import { WebGpuBackend } from "../backends/webgpu/backend.js"
import { GpuDevice } from "../backends/webgpu/device.js"
import { nodeGpu } from "../backends/webgpu/node_gpu.js"
import { fifty, greedyTokens } from "../../test/engine/fifty_prompts.js"

/** Few, as a GPU in software takes a second a token; tools/same-answers.mjs asks all fifty. */
const prompts = [fifty[17], fifty[44]]

it("minerva-tiny says on the GPU what it says on the CPU, token by token", async () => {
  const gpu = await GpuDevice.open(await nodeGpu(), { tier: "subgroups" })
  const expected = await tokensOf(await createCpuBackend({ precision: "exact" }))
  expect(expected.flat().length).toBeGreaterThan(20)
  expect(await tokensOf(new WebGpuBackend(gpu, "exact"))).toEqual(expected)
}, 180_000)

async function tokensOf(backend: Backend): Promise<number[][]> {
  const answers: number[][] = []
  for await (const tokens of greedyTokens(backend, prompts)) answers.push(tokens)
  return answers
}
