import type { Backend } from "../backends/backend.js"
import { WebGpuBackend } from "../backends/webgpu/backend.js"
import { apply, constant } from "../graph/build.js"
import { lower } from "../graph/lower.js"
import { mapWeight, componentsOf } from "../ir/operands.js"
import type { WeightOf } from "../ir/type.js"
import type { Value } from "../ir/value.js"
import type { DType } from "../tensor/dtype.js"
import { packedRowBytes, type Quantization } from "../tensor/quantization.js"
import type { Shape } from "../tensor/shape.js"
import { Storage } from "../tensor/storage.js"
import { median } from "./median.js"
import { warmUp } from "./warm_up.js"

export interface KernelBenchOptions {
  /** Activation rows: 1 as in decoding, more as in prefill. */
  readonly rows: readonly number[]
  /** Rows of the weight; by default as many as make it far larger than any cache. */
  readonly outputs?: number
  readonly runs: number
  readonly onProgress?: (done: number, total: number) => void
}

export interface KernelBench {
  readonly format: string
  readonly rows: number
  readonly outputs: number
  readonly weight_bytes: number
  /** Median over runs, or, on a GPU, over all replays in them. */
  readonly ms: number
  /** Bytes of weights, scales and biases per second. */
  readonly bandwidth: number
  /** Multiply-adds per second. */
  readonly macs: number
}

/** gpt-oss's hidden size, and the bytes of a weight unless its rows are said. */
const K = 2880
const WEIGHT_BYTES = 2 ** 28

const FORMATS: readonly [string, Quantization | null][] = [
  ["affine 8", { mode: "affine", bits: 8, group_size: 64 }],
  ["affine 4", { mode: "affine", bits: 4, group_size: 64 }],
  ["mxfp4", { mode: "mxfp4", bits: 4, group_size: 32 }],
  ["bfloat16", null],
]

/** Times matmuls with weights of each format that gpt-oss checkpoints come in, each once warmed up. */
export async function benchKernels(backend: Backend, options: KernelBenchOptions): Promise<KernelBench[]> {
  const { rows, outputs, runs, onProgress } = options
  const results: KernelBench[] = []
  for (const [name, quantization] of FORMATS) {
    const random = randomWeight(quantization, outputs)
    const weight_bytes = componentsOf(random).reduce((sum, { storage }) => sum + storage.byteLength, 0)
    const N = random.weight.storage.shape[0]
    try {
      for (const L of rows) {
        const weight = mapWeight(random, ({ value }) => value)
        const ms = await timeProduct(backend, weight, L, runs)
        results.push({
          format: name,
          rows: L,
          outputs: N,
          weight_bytes,
          ms,
          bandwidth: (weight_bytes * 1000) / ms,
          macs: (L * N * K * 1000) / ms,
        })
        onProgress?.(results.length, FORMATS.length * rows.length)
      }
    } finally {
      for (const { storage } of componentsOf(random)) storage.dispose()
    }
  }
  return results
}

/** Median milliseconds of a product with `rows` rows. */
async function timeProduct(backend: Backend, weight: WeightOf<Value>, rows: number, runs: number): Promise<number> {
  const x = random("float32", [rows, K], 0x38, 8)
  const program = lower({ outputs: [apply({ kind: "matmul" }, { x: x.value, weight }).y] })
  try {
    const executable = await backend.compile(program)
    // A GPU that waits for us between replays lowers its clocks; one that never does piles them up.
    const burst = async () => {
      for (let i = 0; i < backend.replaysAhead; i++) await executable.replay({})
      await backend.fence()
    }
    try {
      await warmUp(burst)
      return median(await timeReplays(backend, runs, burst))
    } finally {
      executable.dispose()
    }
  } finally {
    for (const storage of [x.storage, ...program.results]) storage.dispose()
  }
}

/** Milliseconds of each replay of so many bursts: by the GPU's clock where there is one. */
async function timeReplays(backend: Backend, runs: number, burst: () => Promise<void>): Promise<number[]> {
  if (backend instanceof WebGpuBackend) {
    const profiler = await backend.profile("replay")
    for (let run = 0; run < runs; run++) await burst()
    return (await profiler.stop()).replays.map(({ gpu }) => gpu.ms)
  }
  const times: number[] = []
  for (let run = 0; run < runs; run++) {
    const start = performance.now()
    await burst()
    times.push((performance.now() - start) / backend.replaysAhead)
  }
  return times
}

interface RandomArray {
  readonly value: Value
  readonly storage: Storage
}

function randomWeight(quantization: Quantization | null, outputs?: number): WeightOf<RandomArray> {
  const N = outputs ?? Math.floor(WEIGHT_BYTES / (quantization ? packedRowBytes(quantization, K) : 2 * K))
  // Bytes between 0x38 and 0x3f are bfloat16 (and float32) numbers below 1 and above 2^-16.
  if (!quantization) return { quantization, weight: random("bfloat16", [N, K], 0x38, 8) }
  const weight = random("uint32", [N, packedRowBytes(quantization, K) / 4], 0, 256)
  const groups = [N, K / quantization.group_size]
  if (quantization.mode !== "affine") return { quantization, weight, scales: random("uint8", groups, 118, 8) }
  const [scales, biases] = [random("bfloat16", groups, 0x3c, 1), random("bfloat16", groups, 0x3c, 1)]
  return { quantization, weight, scales, biases }
}

/** An array of bytes from `low` on, below `low + range`; a pattern long enough that no kernel profits from it. */
function random(dtype: DType, shape: Shape, low: number, range: number): RandomArray {
  const pattern = Uint8Array.from({ length: 65536 }, (_, i) => low + ((Math.imul(i + 1, 2654435761) >>> 16) % range))
  const read = async (_: number, into: Uint8Array) => {
    for (let at = 0; at < into.length; at += pattern.length) into.set(pattern.subarray(0, into.length - at), at)
  }
  const storage = new Storage("random", dtype, shape, { read })
  return { value: constant(storage), storage }
}
