import { expect, it, vi } from "vitest"
import { Claims } from "./claims.js"
import { loadKernels } from "./node_cpu.js"
import { JobRunner } from "./job_runner.js"

it("looks at how far memories have grown before it takes a program that works in them", async () => {
  const runner = new JobRunner(await loadKernels(), 0, new Claims(new Int32Array(Claims.BYTES / 4)))
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 4, shared: true })
  const grow = vi.spyOn(memory, "grow")
  runner.addSegment(memory)
  runner.load(0, [{ parts: 1, jobs: [] }])
  expect(grow.mock.calls).toEqual([[0]])
})
