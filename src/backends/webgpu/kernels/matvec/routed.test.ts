import { expect, it } from "vitest"
import { routedCases } from "../../../conformance/fused_cases.test.helper.js"
import { Random } from "../../../conformance/random.test.helper.js"
import { expectClose, run } from "../../../conformance/run.test.helper.js"
import { ReferenceBackend } from "../../../reference/backend.js"
import { describeWithGpu } from "../../test_gpu.test.helper.js"

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
