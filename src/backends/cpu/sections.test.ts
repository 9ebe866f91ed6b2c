import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { apply, constant, input } from "../../graph/build.js"
import { lower } from "../../graph/lower.js"
import { Storage } from "../../tensor/storage.js"
import { CpuBackend } from "./backend.js"
import { type Section, sectionsOf, widest } from "./sections.js"
import type { KernelJob } from "./jobs.js"
import type { KernelModule } from "./kernel_module.js"
import type { ThreadPool } from "./thread_pool.js"

const job = (work: number): KernelJob => ({ kernel: "unary", segment: 0, args: [], scratch: null, work })

describe("sections", () => {
  it("keep the jobs in order, in parts that are worth a thread, and what one thread does in a row in one section", () => {
    const works = fc.array(fc.oneof(fc.integer({ min: 0, max: 300 }), fc.constant(1e12)), { minLength: 1 })
    fc.assert(
      fc.property(works, fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 100 }), (works, threads, part) => {
        const jobs = works.map(job)
        const sections = sectionsOf(jobs, threads, part)
        expect(sections.flatMap((section) => section.jobs)).toEqual(jobs)
        for (const { parts, jobs } of sections) {
          expect(parts).toBeLessThanOrEqual(threads)
          if (parts > 1) {
            expect(jobs).toHaveLength(1)
            expect(jobs[0].work).toBeGreaterThanOrEqual(parts * part)
          }
          if (parts < threads) for (const { work } of jobs) expect(work).toBeLessThan((parts + 1) * part)
        }
        const alone = sections.map(({ parts }) => parts === 1)
        expect(alone.some((is, i) => is && alone[i + 1])).toBe(false)
        expect(widest(sections)).toBe(Math.max(...sections.map(({ parts }) => parts)))
      }),
    )
  })

  it("are one, of nothing, where there are no jobs", () => {
    expect(sectionsOf([], 4, 1)).toEqual([{ parts: 1, jobs: [] }])
  })
})

describe("the threads a program calls for", () => {
  const kernels: KernelModule = { module: {}, isRelaxed: true, isShared: true }

  /** How many parts each section has of `rows` rows times a weight `[N, K]` in float32, with 8 threads. */
  async function partsOf(rows: number, N: number, K: number): Promise<number[]> {
    let loaded: readonly Section[] = []
    const pool: ThreadPool = {
      kernels,
      threads: 8,
      addSegment() {},
      load(_, sections) {
        loaded = sections
      },
      drop() {},
      async run() {},
      async close() {},
    }
    const weight = { quantization: null, weight: constant(new Storage("w", "float32", [N, K], null)) }
    const x = apply({ kind: "matmul" }, { x: input("x", [rows, K], "float32"), weight }).y
    await new CpuBackend(pool).compile(lower({ outputs: [apply({ kind: "unary", fn: "neg" }, { x }).y] }))
    return loaded.map(({ parts }) => parts)
  }

  it("are one for a small product, all for a large one, and those in between that find enough to do", async () => {
    expect(await partsOf(1, 64, 128)).toEqual([1])
    // 1 MiB of weights is more than 8 times what a thread is called for; the instruction after it is small.
    expect(await partsOf(1, 512, 512)).toEqual([8, 1])
    expect(await partsOf(1, 128, 384)).toEqual([3, 1])
    // The same small weight for many rows is work too.
    expect(await partsOf(4096, 64, 64)).toEqual([8, 8])
  })
})
