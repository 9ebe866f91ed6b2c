import { expect, it } from "vitest"
import { emulatedHalves } from "../../../../../test/backends/webgpu/kernels/emulated_halves.js"
import { ACTIVATIONS } from "../../../../../test/backends/conformance/glu_cases.js"
import { AFFINE_8, floats, integers, MXFP4, Random, weight } from "../../../../../test/backends/conformance/random.js"
import { type Case, expectClose, run } from "../../../../../test/backends/conformance/run.js"
import { describeWithGpu } from "../../../../../test/backends/webgpu/test_gpu.js"
import { apply } from "../../../../graph/build.js"
import type { Quantization } from "../../../../tensor/quantization.js"
import { ReferenceBackend } from "../../../reference/backend.js"
import type { WebGpuBackend } from "../../backend.js"

/** Rows, experts, outputs and K: slots that fill tiles, that are too many for one, and experts that nobody chose. */
const SHAPES: readonly (readonly [Quantization | null, number, number, number, number])[] = [
  [MXFP4, 12, 40, 131, 288],
  [MXFP4, 20, 16, 260, 96],
  [AFFINE_8, 17, 30, 67, 192],
  [null, 9, 8, 35, 64],
]

function cases(): Case[] {
  return SHAPES.map(([quantization, L, E, N, K], i) => {
    const random = new Random(i)
    const format = { quantization, bias: i % 2 === 0 }
    const weights = () => weight(random, format, [E], N, K, "bfloat16")
    const ids = integers(random, [L, 3], E)
    const norm = floats(random, [K], "bfloat16")
    const glu = { kind: "norm_gather_glu", eps: 1e-5, activation: ACTIVATIONS[i % ACTIVATIONS.length] } as const
    const [scores, residual] = [floats(random, [L, 3]), floats(random, [L, N])]
    return {
      name: `${quantization?.mode ?? "dense"}, ${L} rows, ${E} experts, ${N}x${K}`,
      outputs: [
        apply(glu, { x: floats(random, [L, K]), norm, ids, gate: weights(), up: weights() }).y,
        apply({ kind: "gather_matmul_sum" }, { x: floats(random, [L, 3, K]), ids, weight: weights(), scores, residual })
          .y,
      ],
    }
  })
}

await describeWithGpu("products of a few rows an expert", { tier: "subgroups" }, (gpu, createBackend) => {
  async function expectTruth(backend: WebGpuBackend, tolerance: number): Promise<void> {
    const expected = cases()
    for (const [i, testCase] of cases().entries()) {
      const [truth] = await run(expected[i], new ReferenceBackend())
      const [found] = await run(testCase, backend)
      for (const [j, output] of truth.entries()) {
        expectClose(found[j], output, tolerance, `${testCase.name}, output ${j}`)
      }
    }
  }

  it.each([
    ["in float32", false],
    ["in float16, emulated", true],
  ])("%s: each weight meets all of an expert's rows", async (_, f16) => {
    const { features } = gpu
    const texts: string[] = []
    Object.assign(gpu, {
      features: { ...features, f16 },
      pipeline: (label: string, code: string) => {
        texts.push(label)
        return Object.getPrototypeOf(gpu).pipeline.call(gpu, label, emulatedHalves(code))
      },
    })
    await expectTruth(await createBackend(), f16 ? 5e-3 : 1e-5)
    expect(texts.filter((label) => label.includes("slots"))).toHaveLength(2 * SHAPES.length)
    Object.assign(gpu, { features })
    Reflect.deleteProperty(gpu, "pipeline")
  })
})
