import { describe, expect, it } from "vitest"
import { apply } from "../../../../graph/build.js"
import type { Quantization } from "../../../../tensor/quantization.js"
import { ACTIVATIONS } from "../../../../../test/backends/conformance/glu_cases.js"
import { AFFINE_8, floats, integers, MXFP4, Random, weight } from "../../../../../test/backends/conformance/random.js"
import { type Case, expectClose, run } from "../../../../../test/backends/conformance/run.js"
import { ReferenceBackend } from "../../../reference/backend.js"
import type { WebGpuBackend } from "../../backend.js"
import { describeWithGpu } from "../../../../../test/backends/webgpu/test_gpu.js"
import { emulated } from "../../../../../test/backends/webgpu/kernels/gemm/emulated_matrix.js"

const AFFINE_4: Quantization = { mode: "affine", bits: 4, group_size: 32 }

/** Rows, columns and K that fill no tile: tiles of every height, the last of K half empty, K of any length when dense. */
const SHAPES: readonly (readonly [Quantization | null, number, number, number])[] = [
  [MXFP4, 9, 131, 288],
  [AFFINE_8, 17, 67, 192],
  [null, 33, 35, 97],
  [AFFINE_4, 70, 129, 96],
  [MXFP4, 130, 200, 160],
]

function cases(shapes: number): Case[] {
  return SHAPES.slice(0, shapes).map(([quantization, L, N, K], i) => {
    const random = new Random(i)
    const format = { quantization, bias: i % 2 === 0 }
    const weights = (lead: readonly number[], n: number) => weight(random, format, lead, n, K, "bfloat16")
    const x = floats(random, [L, K])
    const norm = floats(random, [K], "bfloat16")
    const ids = integers(random, [L, 3], 5)
    const activation = ACTIVATIONS[i % ACTIVATIONS.length]
    return {
      name: `${quantization?.mode ?? "dense"}, ${L} rows, ${N}x${K}`,
      outputs: [
        apply({ kind: "matmul" }, { x, weight: weights([], N), residual: floats(random, [L, N]) }).y,
        apply({ kind: "norm_matmul", eps: 1e-5 }, { x, norm, weights: [weights([], N), weights([], 30)] }).y,
        apply(
          { kind: "norm_gather_glu", eps: 1e-5, activation },
          { x, norm, ids, gate: weights([5], N), up: weights([5], N) },
        ).y,
        apply(
          { kind: "gather_matmul_sum" },
          {
            x: floats(random, [L, 3, K]),
            ids,
            weight: weights([5], N),
            scores: floats(random, [L, 3]),
            residual: floats(random, [L, N]),
          },
        ).y,
      ],
    }
  })
}

async function expectTruth(backend: WebGpuBackend, tolerance: number, shapes = SHAPES.length): Promise<void> {
  const expected = cases(shapes)
  for (const [i, testCase] of cases(shapes).entries()) {
    const [truth] = await run(expected[i], new ReferenceBackend())
    const [found] = await run(testCase, backend)
    for (const [j, output] of truth.entries()) expectClose(found[j], output, tolerance, `${testCase.name}, output ${j}`)
  }
}

await describeWithGpu("products of many rows", { tier: "core" }, (gpu, createBackend) => {
  it("by threads", async () => {
    await expectTruth(await createBackend(), 1e-6)
  })

  // The float16 inputs round at 2^-11.
  // Small matrices make long kernels, which SwiftShader compiles slowly: one shape of those.
  describe.each([
    [8, 1],
    [16, SHAPES.length],
  ])("by matrices of %i, emulated", (m, shapes) => {
    it("are as exact as float16 inputs", async () => {
      const { features } = gpu
      const texts: string[] = []
      Object.assign(gpu, {
        features: { ...features, f16: true, subgroups: { min: 32, max: 32 }, matrix: { m, n: m, k: m } },
        pipeline: (label: string, code: string) => {
          texts.push(code)
          return Object.getPrototypeOf(gpu).pipeline.call(gpu, label, emulated(code, m))
        },
      })
      await expectTruth(await createBackend(), 2e-3, shapes)
      expect(texts.some((text) => text.includes("subgroup_matrix"))).toBe(true)
      Object.assign(gpu, { features })
      Reflect.deleteProperty(gpu, "pipeline")
    })
  })
})
