import { execFile } from "node:child_process"
import { promisify } from "node:util"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { BackendError } from "../backend.js"
import { loadKernels } from "./node_cpu.js"
import { NodeThreadPool } from "./node_thread_pool.js"
import type { Section } from "./sections.js"
import type { KernelJob } from "./jobs.js"

const PAGE = 65536

async function poolWithMemory(threads: number) {
  const pool = new NodeThreadPool(await loadKernels(), threads)
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 65535, shared: true })
  pool.addSegment(memory)
  return { pool, buffer: memory.buffer, floats: new Float32Array(memory.buffer, PAGE, 1024) }
}

/** Negates `n` floats in place. */
const negate = (n: number): KernelJob => ({
  kernel: "unary",
  segment: 0,
  args: [PAGE, n, 0, PAGE],
  scratch: null,
  work: 0,
})

/** Looks up an id beyond the table, which traps. */
const trap: KernelJob = { ...negate(8), kernel: "take_along_axis", args: [PAGE, 1, 0, PAGE, 1, PAGE] }

/** A section for each job, in so many parts. */
const inParts = (parts: number, ...jobs: KernelJob[]): Section[] => jobs.map((job) => ({ parts, jobs: [job] }))

describe("node thread pool", () => {
  it.each([1, 2, 5, 16])("%i threads do each part once, after all before it, in run after run", async (threads) => {
    const { pool, buffer } = await poolWithMemory(threads)
    const length = 16384
    const at = (i: number) => PAGE + i * length * 4
    /** Each section negates what the one before it wrote, every other in place: a part early, late or twice shows. */
    const sectionsOf = (partCounts: readonly number[]) =>
      partCounts.map((parts, i): Section => {
        const to = Math.floor(i / 2) + 1
        const from = i % 2 ? to : to - 1
        return { parts, jobs: [{ ...negate(0), args: [at(from), length, 0, at(to)] }] }
      })
    let runs = 0
    const partCounts = fc.array(fc.integer({ min: 1, max: threads }), { minLength: 1, maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(partCounts, fc.integer({ min: 1, max: 4 }), async (parts, repeats) => {
        const id = runs
        pool.load(id, sectionsOf(parts))
        for (let i = 0; i < repeats; i++) {
          new Float32Array(buffer, at(0), length).fill(++runs)
          await pool.run(id, [])
          const last = new Float32Array(buffer, at(Math.ceil(parts.length / 2)), length)
          expect(last.every((value) => value === runs * (-1) ** parts.length)).toBe(true)
        }
        pool.drop(id)
      }),
      { numRuns: 40 },
    )
    await pool.close()
  })

  it("keeps threads in step through many more instructions than they have processors", async () => {
    const { pool, floats } = await poolWithMemory(5)
    floats.fill(1)
    pool.load(0, inParts(5, ...Array.from({ length: 2001 }, () => negate(1024))))
    for (let run = 1; run <= 5; run++) {
      await pool.run(0, [])
      expect(floats.every((value) => value === (-1) ** run)).toBe(true)
    }
    await pool.close()
  })

  it("reports a kernel's trap and goes on working", async () => {
    const { pool, floats } = await poolWithMemory(3)
    floats.fill(1)
    pool.load(0, inParts(3, negate(8), trap, negate(8)))
    pool.load(1, inParts(3, negate(8)))
    for (let run = 0; run < 3; run++) {
      await expect(pool.run(0, [])).rejects.toThrow(BackendError)
      await pool.run(1, [])
    }
    expect(floats[0]).toBe(1)
    await pool.close()
  })

  it.each([2, 16])("wakes the %i threads that sleep when one of them fails", async (threads) => {
    const { pool, floats } = await poolWithMemory(threads)
    floats.fill(1)
    // One thread is long at its exponentials, much longer than the others look before they sleep.
    const exponentials: KernelJob = { ...negate(0), args: [2 * PAGE, (4 * PAGE) >> 2, 2, 2 * PAGE] }
    const long = Array.from({ length: 20 }, () => exponentials)
    pool.load(0, [...inParts(threads, negate(8)), { parts: 1, jobs: [...long, trap] }, ...inParts(threads, negate(8))])
    pool.load(1, inParts(threads, negate(8)))
    for (let run = 0; run < 3; run++) {
      await expect(pool.run(0, [])).rejects.toThrow(BackendError)
      await pool.run(1, [])
    }
    expect(floats[0]).toBe(1)
    await pool.close()
  })

  it("is whole again after a failure, for a thread too that had slept through the run before", async () => {
    const { pool, floats } = await poolWithMemory(16)
    floats.fill(1)
    pool.load(0, inParts(16, negate(1024)))
    pool.load(1, [{ parts: 1, jobs: [trap] }])
    for (let run = 1; run <= 50; run++) {
      // Done before most threads have come to it.
      await pool.run(0, [])
      await expect(pool.run(1, [])).rejects.toThrow(BackendError)
      expect(floats.every((value) => value === (-1) ** run)).toBe(true)
    }
    await pool.close()
  })

  it("rejects when a thread dies, then and later", async () => {
    const { pool } = await poolWithMemory(3)
    pool.load(0, inParts(3, { ...negate(8), kernel: "no such kernel" }))
    await expect(pool.run(0, [])).rejects.toThrow(BackendError)
    // A segment that never was: the threads end as they try to load this.
    pool.load(1, inParts(3, { ...negate(8), segment: 7 }))
    await expect(pool.run(1, [])).rejects.toThrow(/cpu thread \d failed/)
    await expect(pool.run(0, [])).rejects.toThrow(/cpu thread \d failed/)
    await pool.close()
  })

  it("rejects a run that closing interrupts", async () => {
    const { pool } = await poolWithMemory(2)
    pool.load(0, inParts(2, ...Array.from({ length: 1000 }, () => negate(1024))))
    const running = pool.run(0, [])
    const closed = pool.close()
    await expect(running).rejects.toThrow(/closed/)
    await closed
  })

  it("lets the process end while it is idle, and not while it runs", async () => {
    const script = `
      const { createCpuBackend } = await import(${JSON.stringify(new URL("./node_cpu.js", import.meta.url).href)})
      const { pool } = await createCpuBackend({ threads: 2 })
      pool.load(0, [{ parts: 1, jobs: [] }])
      await pool.run(0, [])
      console.log("ran")`
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
      timeout: 30_000,
    })
    expect(stdout).toBe("ran\n")
  })
})
