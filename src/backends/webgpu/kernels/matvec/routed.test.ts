import { expect, it } from "vitest"
import { routedCases } from "../../../../../test/backends/conformance/fused_cases.js"
import { Random } from "../../../../../test/backends/conformance/random.js"
import { expectClose, run } from "../../../../../test/backends/conformance/run.js"
import { ReferenceBackend } from "../../../reference/backend.js"
import { describeWithGpu } from "../../../../../test/backends/webgpu/test_gpu.js"

const SEED = 3

for (const tier of ["core", "subgroups"] as const) {
  await describeWithGpu(`routers of one row, ${tier}`, { tier }, (gpu, createBackend) => {
    const cases = routedCases(new Random(SEED), 1)
    it.each(cases.map((testCase, i) => [testCase.name, i] as const))("%s", async (_, i) => {
      const { name, isShared } = cases[i]
      // As a case's constants are used up.
      const expected = await run(routedCases(new Random(SEED), 1)[i], new ReferenceBackend())
      const backend = createBackend()
      const profiler = await backend.profile("dispatch")
      const found = await run(cases[i], backend)
      const dispatches = (await profiler.stop()).replays.flatMap(({ dispatches }) => dispatches.map(({ name }) => name))
      for (const [j, output] of expected[0].entries()) expectClose(found[0][j], output, 1e-5, `${name}, output ${j}`)
      // The experts' launch chooses them too.
      const choosing = dispatches.filter((label) => /^top \d+, experts/.test(label))
      if (isShared) expect(choosing).toHaveLength(1)
      else if ((gpu.features.subgroups?.min ?? 1) < 32) expect(choosing).toEqual([])
    })
  })
}
