import { expect, it, vi } from "vitest"
import { Claims } from "./claims.js"
import { loadKernels } from "./node_cpu.js"
import { JobRunner } from "./job_runner.js"

it.each([
  ["looks at how far shared memories have grown before it takes a program that works in them", true, [[0]]],
  ["leaves ordinary ones alone, whose views end when they grow by nothing too", false, []],
])("%s", async (_, isShared, expected) => {
  const runner = new JobRunner(await loadKernels(isShared), 0, new Claims(new Int32Array(Claims.BYTES / 4)))
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 4, shared: isShared })
  const grow = vi.spyOn(memory, "grow")
  runner.addSegment(memory)
  runner.load(0, [{ parts: 1, jobs: [] }])
  expect(grow.mock.calls).toEqual(expected)
})
