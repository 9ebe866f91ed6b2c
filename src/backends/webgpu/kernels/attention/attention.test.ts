import { describe, expect, it } from "vitest"
import { apply, input, state } from "../../../../graph/build.js"
import { encodeFloats } from "../../../../tensor/floats.js"
import { positionsFrom } from "../../../../../test/backends/conformance/attention_cases.js"
import { exactly, floats, Random, storageOf } from "../../../../../test/backends/conformance/random.js"
import { type Case, expectClose, run } from "../../../../../test/backends/conformance/run.js"
import { ReferenceBackend } from "../../../reference/backend.js"
import type { WebGpuBackend } from "../../backend.js"
import { describeWithGpu } from "../../../../../test/backends/webgpu/test_gpu.js"
import { emulated } from "../../../../../test/backends/webgpu/kernels/attention/emulated_matrix.js"

interface Shape {
  readonly rows: number
  readonly heads: number
  readonly kv: number
  readonly D: number
  readonly capacity: number
  readonly window: number | null
  readonly starts: readonly number[]
  readonly sequences?: readonly number[]
}

/** Long caches whose keys several workgroups share, nearly empty, full and wrapped. */
const FEW: readonly Shape[] = [
  { rows: 1, heads: 8, kv: 1, D: 64, capacity: 900, window: null, starts: [0, 63, 64, 899, 900, 2345] },
  { rows: 3, heads: 4, kv: 2, D: 16, capacity: 600, window: 590, starts: [0, 500, 1200] },
]

/** Chunks that begin anywhere in a ring, against tiles of keys that some, all or none of the rows see. */
const MANY: readonly Shape[] = [
  { rows: 37, heads: 8, kv: 1, D: 16, capacity: 200, window: null, starts: [0, 130, 190] },
  { rows: 41, heads: 6, kv: 2, D: 16, capacity: 120, window: 20, starts: [0, 100, 5000] },
  {
    rows: 66,
    heads: 2,
    kv: 2,
    D: 16,
    capacity: 90,
    window: null,
    starts: [0, 40],
    sequences: Array.from({ length: 66 }, (_, i) => [2, 0, 0, 1][i & 3]),
  },
]

function caseOf({ rows, heads, kv, D, capacity, window, starts, sequences }: Shape, i: number): Case {
  const random = new Random(i)
  const dims = [...(sequences ? [3] : []), capacity, kv, D]
  const cache = (name: string) => {
    const n = dims.reduce((a, b) => a * b, 1)
    const bytes = new Uint8Array(2 * n)
    encodeFloats("float16", random.floats(n, 2), bytes)
    return state(storageOf(name, "float16", dims, bytes))
  }
  const width = (heads + 2 * kv) * D
  const op = { kind: "rope_attention", rope_scale: 1.3, scale: D ** -0.5, window } as const
  const [keys, values] = [cache("keys"), cache("values")]
  const frequencies = Array.from({ length: D / 2 }, (_, i) => 150000 ** ((-2 * i) / D))
  return {
    name: `${rows} rows, ${heads}/${kv} heads of ${D}, window ${window}, capacity ${capacity}`,
    outputs: [
      apply(op, {
        qkv: input("qkv", [rows, width], "float32"),
        positions: input("positions", [rows], "uint32"),
        inv_freq: exactly([D / 2], frequencies),
        keys,
        values,
        sinks: floats(random, [heads], "bfloat16", 2),
        sequences: sequences ? input("sequences", [rows], "uint32") : undefined,
      }).y,
    ],
    replays: starts.map((start) => ({
      qkv: random.floats(rows * width, 2),
      positions: positionsFrom(start, rows),
      ...(sequences ? { sequences: Uint32Array.from(sequences) } : {}),
    })),
  }
}

async function expectTruth(backend: WebGpuBackend, shapes: readonly Shape[], tolerance: number): Promise<void> {
  for (const [i, shape] of shapes.entries()) {
    const truth = await run(caseOf(shape, i), new ReferenceBackend())
    const found = await run(caseOf(shape, i), backend)
    for (const [step, [output]] of truth.entries()) {
      expectClose(found[step][0], output, tolerance, `${caseOf(shape, i).name}, replay ${step}`)
    }
  }
}

await describeWithGpu("attention", { tier: "subgroups" }, (gpu, createBackend) => {
  it("of few rows, with the keys shared out", async () => {
    await expectTruth(await createBackend(), FEW, 1e-5)
  })

  it("of many rows, by threads", async () => {
    await expectTruth(await createBackend(), MANY, 1e-5)
  })

  // Rotated queries and weights round to float16.
  describe.each([8, 16])("of many rows, by matrices of %i, emulated", (m) => {
    it("is as exact as float16 queries and weights", async () => {
      const { features } = gpu
      const texts: string[] = []
      Object.assign(gpu, {
        features: { ...features, f16: true, subgroups: { min: 32, max: 32 }, matrix: { m, n: m, k: m } },
        pipeline: (label: string, code: string) => {
          texts.push(code)
          return Object.getPrototypeOf(gpu).pipeline.call(gpu, label, emulated(code, m))
        },
      })
      await expectTruth(await createBackend(), MANY.slice(0, 2), 2e-3)
      expect(texts.filter((text) => text.includes("subgroup_matrix"))).toHaveLength(2)
      Object.assign(gpu, { features })
      Reflect.deleteProperty(gpu, "pipeline")
    })
  })
})
