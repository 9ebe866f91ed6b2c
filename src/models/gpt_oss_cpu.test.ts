import { describe, expect, it } from "vitest"
import { CpuBackend } from "../backends/cpu/backend.js"
import { createCpuBackend, loadKernels, type NodeCpuOptions } from "../backends/cpu/node_cpu.js"
import { NodeThreadPool } from "../backends/cpu/node_thread_pool.js"
import { InlinePool } from "../backends/cpu/thread_pool.js"
import { logitsOf, type Setting } from "../../test/engine/scheduling.js"
import { argmaxDisagreements, fixtures, openFixture, relativeError } from "../../test/models/fixtures.js"

interface Cpu extends NodeCpuOptions {
  /** Whether memory is that of one thread, which is then the calling one: as in a page of a browser that may not share memory. */
  readonly isOrdinary?: boolean
}

/** With as many threads as asked for, whatever processors there are. */
async function cpuBackend({ threads, isOrdinary, ...options }: Cpu): Promise<CpuBackend> {
  if (isOrdinary) return new CpuBackend(new InlinePool(await loadKernels(false)), options)
  if (!threads) return createCpuBackend({ threads, ...options })
  return new CpuBackend(new NodeThreadPool(await loadKernels(), threads), options)
}

async function computed(shape: string, layout: string, cpu: Cpu, options?: Setting) {
  const backend = await cpuBackend(cpu)
  const { checkpoint, model, expected } = await openFixture(shape, layout)
  const logits = await logitsOf(model, backend, expected.tokens, options)
  await backend.close()
  await checkpoint.close()
  return { logits, expected, vocab_size: model.config.vocab_size }
}

describe("gpt-oss on the cpu backend, against transformers and mlx-lm", () => {
  // Activations as int16, and with MXFP4 weights as int8: twice the largest error measured. Weights that are not quantized are
  // multiplied in float32 either way.
  const tolerances = (shape: string) =>
    [
      ["exact", 1e-5],
      ["int16", 1e-3],
      ["fast", shape === "clamped" ? 0.3 : 0.05],
    ] as const
  const cases = fixtures("hf", "hf-mxfp4", "mlx-q8").flatMap(([shape, layout]) =>
    tolerances(shape).map(([precision, tolerance]) => ({ shape, layout, precision, tolerance })),
  )

  it.each(cases)("$shape, $layout, $precision", async ({ shape, layout, precision, tolerance }) => {
    const { logits, expected, vocab_size } = await computed(shape, layout, { threads: 2, precision })
    for (const truth of [expected.logits, expected.mlx_logits ?? expected.logits]) {
      expect(relativeError(logits, truth)).toBeLessThan(tolerance)
      const scale = Math.max(...truth.map(Math.abs))
      expect(argmaxDisagreements(logits, truth, vocab_size, tolerance * scale)).toEqual([])
    }
  })
})

describe("gpt-oss on the cpu backend", () => {
  const variants: [string, Cpu, Setting][] = [
    ["on the calling thread", { threads: 0 }, {}],
    ["on the calling thread, in ordinary memory", { isOrdinary: true }, {}],
    ["in ordinary memories of 3 MiB", { isOrdinary: true, segment_bytes: 3 << 20 }, { prefill_chunk: 7 }],
    ["with 1 thread", { threads: 1 }, {}],
    ["with 3 threads", { threads: 3 }, {}],
    ["with 2 threads at every step", { threads: 2, part_bytes: 1 }, {}],
    ["with 5 threads at every step", { threads: 5, part_bytes: 1 }, {}],
    ["token by token", { threads: 2 }, { prefill_chunk: 1 }],
    ["in chunks of 7", { threads: 2 }, { prefill_chunk: 7 }],
    ["without the passes", { threads: 2 }, { optimise: false }],
    [
      "with weights spread over memories of 3 MiB",
      { threads: 2, part_bytes: 1, segment_bytes: 3 << 20 },
      { prefill_chunk: 1 },
    ],
  ]

  it.each(["clamped", "three-of-ten"])("%s: computes the same bits in every way", async (shape) => {
    for (const precision of ["fast", "int16", "exact"] as const) {
      const { logits: truth } = await computed(shape, "mlx-q8", { threads: 2, precision })
      for (const [name, cpu, options] of variants) {
        const { logits } = await computed(shape, "mlx-q8", { ...cpu, precision }, options)
        expect(relativeError(logits, truth), `${precision}, ${name}`).toBe(0)
      }
    }
  })
})
