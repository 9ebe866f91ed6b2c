import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { apply, constant, input, state } from "../../graph/build.js"
import { lower } from "../../graph/lower.js"
import { Storage } from "../../tensor/storage.js"
import { BackendError } from "../backend.js"
import { type KernelFile, kernelsOf } from "../../../test/backends/cpu/kernels.js"
import { runConformance } from "../../../test/backends/conformance/conformance.js"
import { CpuBackend } from "./backend.js"
import { createCpuBackend, loadKernels } from "./node_cpu.js"
import { NodeThreadPool } from "./node_thread_pool.js"
import { InlinePool } from "./thread_pool.js"

runConformance("cpu, fast, two threads", async () => {
  return new CpuBackend(new NodeThreadPool(await loadKernels(), 2), { part_bytes: 1 })
})
runConformance("cpu, int16, one thread", () => createCpuBackend({ threads: 1, precision: "int16" }))
runConformance("cpu, exact, one thread", () => createCpuBackend({ threads: 1, precision: "exact" }))

it("keeps the process until it is closed", async () => {
  // Node ends with code 13 where an await at the top is left with nothing to wait for; a race, hence the repetition.
  const script = `
    import { createCpuBackend } from ${JSON.stringify(new URL("./node_cpu.js", import.meta.url).href)}
    for (let i = 0; i < 20; i++) await (await createCpuBackend({ threads: 2 })).close()
    console.log("closed")
  `
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script])
  expect(stdout).toBe("closed\n")
})

// The kernels that this engine would not choose.
runConformance("cpu, fast, on the calling thread, without relaxed SIMD", async () => inline("kernels"))
runConformance("cpu, fast, on the calling thread, with relaxed SIMD", async () => inline("kernels_relaxed"))

async function inline(kernels: KernelFile): Promise<CpuBackend> {
  return new CpuBackend(new InlinePool(await kernelsOf(kernels)))
}

describe("cpu", () => {
  const append = (cache: Storage) =>
    lower({
      outputs: [],
      effects: [
        apply(
          { kind: "kv_append" },
          {
            cache: state(cache),
            x: input("x", [2, 1, 4], "float32"),
            slots: input("slots", [2], "uint32"),
          },
        ).cache,
      ],
    })

  it("refuses operations that it does not ask for", async () => {
    const backend = await createCpuBackend({ threads: 1 })
    const [norm, weight] = [[4], [2, 4]].map((shape) => constant(new Storage("w", "float32", shape, null)))
    const operands = { x: input("x", [1, 4], "float32"), norm, weights: [{ quantization: null, weight }] }
    const fused = apply({ kind: "norm_matmul", eps: 1e-5 }, operands).y
    await expect(backend.compile(lower({ outputs: [fused] }))).rejects.toThrow(/does not run norm_matmul/)
    await backend.close()
  })

  it("keeps the keys and values of a layer in one memory, so that neither is copied at each replay", async () => {
    const backend = await createCpuBackend({ threads: 1, segment_bytes: 1 << 20 })
    const before = new Storage("before", "uint8", [400_000], null)
    await backend.makeResident([before])
    const caches = ["keys", "values"].map((name) => new Storage(name, "float32", [1000, 1, 64], null))
    const ids = (name: string) => input(name, [1], "uint32")
    const [keys, values] = caches.map((cache) => {
      const x = input(cache.name, [1, 1, 64], "float32")
      return apply({ kind: "kv_append" }, { cache: state(cache), x, slots: ids("slots") }).cache
    })
    const seen = {
      positions: ids("positions"),
      sequences: ids("sequences"),
      tables: input("tables", [1, 10], "uint32"),
    }
    const q = input("q", [1, 1, 64], "float32")
    const op = { kind: "attention", scale: 1, window: null, page_size: 100 } as const
    await backend.compile(lower({ outputs: [apply(op, { q, keys, values, ...seen }).y] }))
    expect([before, ...caches].map((storage) => backend.residents.blockOf(storage).segment)).toEqual([0, 1, 1])
    await backend.close()
  })

  it("refuses a slot that is not there, and runs on", async () => {
    const backend = await createCpuBackend({ threads: 2 })
    const cache = new Storage("cache", "float32", [5, 1, 4], null)
    const executable = await backend.compile(append(cache))
    const x = new Float32Array(8).fill(1)
    await expect(executable.replay({ x, slots: Uint32Array.of(0, 5) })).rejects.toThrow(BackendError)
    await executable.replay({ x, slots: Uint32Array.of(4, 1) })
    await backend.close()
  })

  it("says which input is wrong, and which id is out of range", async () => {
    const backend = await createCpuBackend({ threads: 2 })
    const rows = constant(new Storage("rows", "float32", [10, 4], null))
    const lookup = apply(
      { kind: "embedding" },
      { ids: input("ids", [2], "uint32"), weight: { quantization: null, weight: rows } },
    ).y
    const executable = await backend.compile(lower({ outputs: [lookup] }))
    await expect(executable.replay({})).rejects.toThrow(/input ids: expected uint32 of 2, found nothing/)
    await expect(executable.replay({ ids: Uint32Array.of(0, 10) })).rejects.toThrow(/kernel failed/)
    await executable.replay({ ids: Uint32Array.of(0, 9) })
    executable.dispose()
    await expect(executable.replay({ ids: Uint32Array.of(0, 9) })).rejects.toThrow(/disposed/)
    await backend.close()
  })
})
