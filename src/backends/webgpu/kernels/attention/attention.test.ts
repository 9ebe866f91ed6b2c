import { describe, expect, it } from "vitest"
import { apply, input, state } from "../../../../graph/build.js"
import type { KvFormat } from "../../../../tensor/kv_format.js"
import { cacheStorage, kept, shuffled } from "../../../../../test/backends/conformance/attention_cases.js"
import { Pages } from "../../../../../test/backends/conformance/pages.js"
import { exactly, floats, Random, storageOf } from "../../../../../test/backends/conformance/random.js"
import { type Case, expectClose, run } from "../../../../../test/backends/conformance/run.js"
import { ReferenceBackend } from "../../../reference/backend.js"
import type { WebGpuBackend } from "../../backend.js"
import { describeWithGpu } from "../../../../../test/backends/webgpu/test_gpu.js"
import { emulated } from "../../../../../test/backends/webgpu/kernels/attention/emulated_matrix.js"
import { emulatedHalves } from "../../../../../test/backends/webgpu/kernels/emulated_halves.js"

interface Shape {
  readonly rows: number
  readonly heads: number
  readonly kv: number
  readonly D: number
  readonly page_size: number
  readonly window: number | null
  /** Positions that there are pages for. */
  readonly total: number
  /** Where a step's rows start, step by step: in pages of random vectors. */
  readonly starts: readonly number[]
  /** Whose each row is, of so many; all of one by default. */
  readonly sequences?: readonly number[]
}

/** Long texts whose keys several workgroups share, read from the start, and from where shares begin and end. */
const FEW: readonly Shape[] = [
  { rows: 1, heads: 8, kv: 1, D: 64, page_size: 64, total: 2346, window: null, starts: [0, 63, 64, 899, 2345] },
  { rows: 3, heads: 4, kv: 2, D: 16, page_size: 16, total: 1300, window: 590, starts: [0, 500, 1200] },
  {
    rows: 4,
    heads: 8,
    kv: 2,
    D: 64,
    page_size: 64,
    total: 1100,
    window: null,
    starts: [0, 1096],
    sequences: [2, 0, 1, 0],
  },
]

/** Chunks that begin anywhere in a text, against tiles of keys that some, all or none of the rows see. */
const MANY: readonly Shape[] = [
  { rows: 37, heads: 8, kv: 1, D: 16, page_size: 64, total: 240, window: null, starts: [0, 130, 190] },
  { rows: 41, heads: 6, kv: 2, D: 16, page_size: 8, total: 5041, window: 20, starts: [0, 100, 5000] },
  {
    rows: 66,
    heads: 2,
    kv: 2,
    D: 16,
    page_size: 16,
    total: 90,
    window: null,
    starts: [0, 40],
    sequences: Array.from({ length: 66 }, (_, i) => [2, 0, 0, 1][i & 3]),
  },
  // Rows of other sequences in front of a prompt's.
  {
    rows: 70,
    heads: 4,
    kv: 2,
    D: 16,
    page_size: 32,
    total: 300,
    window: 100,
    starts: [0, 200],
    sequences: Array.from({ length: 70 }, (_, i) => Math.min(i, 5)),
  },
]

/** Over quantized caches: long, with several sequences, and in tiles. */
const CODED: readonly (readonly [KvFormat, Shape])[] = [
  ["int4", FEW[0]],
  ["int8", FEW[0]],
  ["int4", FEW[2]],
  ["int8", MANY[0]],
  ["int4", MANY[3]],
]

function caseOf(shape: Shape, i: number, format: KvFormat): Case {
  const { rows, heads, kv, D, page_size, window, total, starts, sequences = Array(rows).fill(0) } = shape
  const random = new Random(i)
  const count = Math.max(...sequences) + 1
  const order = shuffled(random, count * Math.ceil(total / page_size))
  const pages = new Pages({ sequences: count, page_size, total, order })
  const cache = (name: string) => {
    const dims = [pages.slots, kv, D]
    const { dtype, shape } = cacheStorage(name, format, dims)
    return state(storageOf(name, dtype, shape, kept(random, format, dims, 2)))
  }
  const width = (heads + 2 * kv) * D
  const op = { kind: "rope_attention", rope_scale: 1.3, scale: D ** -0.5, window, page_size } as const
  const [keys, values] = [cache("keys"), cache("values")]
  const frequencies = Array.from({ length: D / 2 }, (_, i) => 150000 ** ((-2 * i) / D))
  return {
    name: `${rows} rows, ${heads}/${kv} heads of ${D}, window ${window}, pages of ${page_size}`,
    outputs: [
      apply(op, {
        qkv: input("qkv", [rows, width], "float32"),
        inv_freq: exactly([D / 2], frequencies),
        keys,
        values,
        sinks: floats(random, [heads], "bfloat16", 2),
        ...pages.inputs(rows),
      }).y,
    ],
    replays: starts.map((start) => ({
      qkv: random.floats(rows * width, 2),
      ...pages.feed(rows, sequences, positionsFrom(start, sequences)),
    })),
  }
}

/** The positions of rows, when each sequence goes on from `start`. */
function positionsFrom(start: number, sequences: readonly number[]): number[] {
  return sequences.map((id, l) => start + sequences.slice(0, l).filter((other) => other === id).length)
}

/** Some rotated key may round to the float16 beside the reference's. */
const ROUNDED = 1e-4

async function expectTruth(
  backend: WebGpuBackend,
  shapes: readonly Shape[],
  tolerance: number,
  format: KvFormat = "float16",
): Promise<void> {
  for (const [i, shape] of shapes.entries()) {
    const truth = await run(caseOf(shape, i, format), new ReferenceBackend())
    const found = await run(caseOf(shape, i, format), backend)
    for (const [step, [output]] of truth.entries()) {
      expectClose(found[step][0], output, tolerance, `${caseOf(shape, i, format).name}, ${format}, replay ${step}`)
    }
  }
}

await describeWithGpu("attention", { tier: "subgroups" }, (gpu, createBackend) => {
  it("of few rows, with the keys shared out", async () => {
    await expectTruth(await createBackend(), FEW, ROUNDED)
  })

  it("of many rows, by threads", async () => {
    await expectTruth(await createBackend(), MANY, ROUNDED)
  })

  it("where kernels get no more than 8 buffers: the inputs share theirs", async () => {
    const { features } = gpu
    const texts: string[] = []
    Object.assign(gpu, {
      features: { ...features, maxBindings: 8 },
      pipeline: (label: string, code: string) => {
        texts.push(code)
        return Object.getPrototypeOf(gpu).pipeline.call(gpu, label, code)
      },
    })
    await expectTruth(await createBackend(), [FEW[0], FEW[2], MANY[0]], ROUNDED)
    await expectTruth(await createBackend(), [FEW[0], MANY[3]], 2e-3, "int4")
    const buffers = texts.map((text) => text.match(/var<storage/g)?.length ?? 0)
    expect(Math.max(...buffers)).toBeLessThanOrEqual(8)
    expect(Math.max(...buffers)).toBeGreaterThan(6)
    Object.assign(gpu, { features })
    Reflect.deleteProperty(gpu, "pipeline")
  })

  it.each(CODED)("over %s", async (format, shape) => {
    await expectTruth(await createBackend(), [shape], 2e-3, format)
  })

  it("of few rows over codes, which become pairs of f16, emulated", async () => {
    const { features } = gpu
    const texts: string[] = []
    Object.assign(gpu, {
      features: { ...features, f16: true },
      pipeline: (label: string, code: string) => {
        texts.push(code)
        return Object.getPrototypeOf(gpu).pipeline.call(gpu, label, emulatedHalves(code))
      },
    })
    await expectTruth(await createBackend(), [FEW[0], FEW[2]], 2e-3, "int4")
    await expectTruth(await createBackend(), [FEW[0], FEW[2]], 2e-3, "int8")
    expect(texts.filter((text) => text.includes("half_levels")).length).toBe(4)
    Object.assign(gpu, { features })
    Reflect.deleteProperty(gpu, "pipeline")
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
      await expectTruth(await createBackend(), MANY.slice(3), 2e-3, "int4")
      expect(texts.filter((text) => text.includes("subgroup_matrix"))).toHaveLength(3)
      Object.assign(gpu, { features })
      Reflect.deleteProperty(gpu, "pipeline")
    })
  })
})
