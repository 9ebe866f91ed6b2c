import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { BackendError } from "../backend.js"
import { loadKernels } from "./node_cpu.js"
import { NodeThreadPool } from "./node_thread_pool.js"
import type { Section } from "./sections.js"
import type { KernelStep } from "./steps.js"

const PAGE = 65536

async function poolWithMemory(threads: number) {
  const pool = new NodeThreadPool(await loadKernels(), threads)
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 65535, shared: true })
  pool.addSegment(memory)
  return { pool, floats: new Float32Array(memory.buffer, PAGE, 1024) }
}

/** Negates `n` floats in place. */
const negate = (n: number): KernelStep => ({
  kernel: "unary",
  segment: 0,
  args: [PAGE, n, 0, PAGE],
  scratch: null,
  work: 0,
})

/** Looks up an id beyond the table, which traps. */
const trap: KernelStep = { ...negate(8), kernel: "take_along_axis", args: [PAGE, 1, 0, PAGE, 1, PAGE] }

/** A section for each step, in so many parts. */
const inParts = (parts: number, ...steps: KernelStep[]): Section[] => steps.map((step) => ({ parts, steps: [step] }))

describe("node thread pool", () => {
  it("keeps threads in step through many more instructions than they have processors", async () => {
    const { pool, floats } = await poolWithMemory(5)
    floats.fill(1)
    pool.load(
      0,
      inParts(5, ...Array.from({ length: 2001 }, () => negate(1024))),
    )
    for (let run = 1; run <= 5; run++) {
      await pool.run(0)
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
      await expect(pool.run(0)).rejects.toThrow(BackendError)
      await pool.run(1)
    }
    expect(floats[0]).toBe(1)
    await pool.close()
  })

  it("rejects when a thread dies, then and later", async () => {
    const { pool } = await poolWithMemory(3)
    pool.load(0, inParts(3, { ...negate(8), kernel: "no such kernel" }))
    await expect(pool.run(0)).rejects.toThrow(BackendError)
    // A segment that never was: the threads end as they try to load this.
    pool.load(1, inParts(3, { ...negate(8), segment: 7 }))
    await expect(pool.run(1)).rejects.toThrow(/cpu thread \d failed/)
    await expect(pool.run(0)).rejects.toThrow(/cpu thread \d failed/)
    await pool.close()
  })

  it("rejects a run that closing interrupts", async () => {
    const { pool } = await poolWithMemory(2)
    pool.load(
      0,
      inParts(2, ...Array.from({ length: 1000 }, () => negate(1024))),
    )
    const running = pool.run(0)
    const closed = pool.close()
    await expect(running).rejects.toThrow(/closed/)
    await closed
  })

  it("lets the process end while it is idle, and not while it runs", async () => {
    const script = `
      const { createCpuBackend } = await import(${JSON.stringify(new URL("./node_cpu.js", import.meta.url).href)})
      const { pool } = await createCpuBackend({ threads: 2 })
      pool.load(0, [{ parts: 1, steps: [] }])
      await pool.run(0)
      console.log("ran")`
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
      timeout: 30_000,
    })
    expect(stdout).toBe("ran\n")
  })
})
