import { expect, it } from "vitest"
import { AFFINE_8, floats, integers, MXFP4, Random, weight } from "../../../../../test/backends/conformance/random.js"
import { expectClose, run } from "../../../../../test/backends/conformance/run.js"
import { describeWithGpu } from "../../../../../test/backends/webgpu/test_gpu.js"
import { apply } from "../../../../graph/build.js"
import type { Value } from "../../../../ir/value.js"
import { ReferenceBackend } from "../../../reference/backend.js"

const [affine8, mxfp4] = [AFFINE_8, MXFP4].map((quantization) => ({ quantization, bias: true }))

/** One row and weights of more rows than there are groups at once, so that each group goes through several. */
const CASES: Readonly<Record<string, (random: Random) => Value>> = {
  "three tasks of one turn": (random) => product(random, affine8, 5811, 64),
  "two tasks of two turns": (random) => product(random, affine8, 2910, 576),
  "two tasks of three turns": (random) => product(random, mxfp4, 2910, 2112),
  "three tasks of three turns, two rows each": (random) => product(random, affine8, 11632, 1088),
  "two tasks whose rows are those of three experts": (random) =>
    apply(
      { kind: "gather_matmul_sum" },
      {
        x: floats(random, [1, 3, 96]),
        ids: integers(random, [1, 3], 5),
        weight: weight(random, mxfp4, [5], 2910, 96, "bfloat16"),
        scores: floats(random, [1, 3]),
        residual: floats(random, [1, 2910], "float32", 3),
      },
    ).y,
}

function product(random: Random, format: typeof affine8, N: number, K: number): Value {
  return apply({ kind: "matmul" }, { x: floats(random, [1, K]), weight: weight(random, format, [], N, K, "bfloat16") })
    .y
}

for (const tier of ["core", "subgroups"] as const) {
  await describeWithGpu(`products of one row, ${tier}`, { tier }, (_, createBackend) => {
    it.each(Object.entries(CASES))("%s", async (name, outputOf) => {
      // Twice, as a case's constants are used up.
      const [found, expected] = await Promise.all(
        [createBackend(), new ReferenceBackend()].map((backend) =>
          run({ name, outputs: [outputOf(new Random(3))] }, backend),
        ),
      )
      expectClose(found[0][0], expected[0][0], 1e-5, name)
      expect(found[0][0].every(Number.isFinite)).toBe(true)
    })
  })
}
