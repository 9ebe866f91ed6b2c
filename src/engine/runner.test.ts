import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import type { Backend } from "../backends/backend.js"
import type { CpuBackend } from "../backends/cpu/backend.js"
import { createCpuBackend } from "../backends/cpu/node_cpu.js"
import { ReferenceBackend } from "../backends/reference/backend.js"
import { openFixture } from "../../test/models/fixtures.js"
import { ContextLengthError } from "./errors.js"
import { Runner } from "./runner.js"
import { promptRows } from "./step.js"

describe("Runner", () => {
  let backend: CpuBackend
  let fixture: Awaited<ReturnType<typeof openFixture>>
  // Longer than a full cache's first capacity, and than window, chunk and rewind of a rotating one.
  const tokens = Uint32Array.from({ length: 500 }, (_, i) => (i * 37 + 11) % 97)

  beforeAll(async () => {
    backend = await createCpuBackend({ threads: 1 })
    fixture = await openFixture("clamped", "mlx-q8")
  })
  afterAll(async () => {
    await backend.close()
    await fixture.checkpoint.close()
  })

  const runner = (options = {}) => new Runner(fixture.model, backend, { prefill_chunk: 32, ...options })

  it("keeps what the caches hold when they grow", async () => {
    const whole = (await runner().forward(tokens)).slice()
    const growing = runner()
    for (let start = 0; start < 400; start += 100) await growing.forward(tokens.subarray(start, start + 100))
    expect(await growing.forward(tokens.subarray(400))).toEqual(whole)
  })

  it("goes on from an earlier token as if the later ones had never been", async () => {
    const other = runner()
    await other.forward(tokens)
    expect(other.trim(350)).toBe(350)
    const fresh = runner()
    await fresh.forward(tokens.subarray(0, 350))
    const next = Uint32Array.of(5, 6, 7)
    expect((await other.forward(next)).slice()).toEqual((await fresh.forward(next)).slice())
  })

  it("compiles nothing for a prompt of a new length, but for the first of its class", async () => {
    // The only class of several rows: a chunk.
    const fresh = runner()
    await fresh.forward(tokens.subarray(0, 17))
    const compile = vi.spyOn(backend, "compile")
    for (const length of [2, 31, 32, 9]) {
      fresh.reset()
      await fresh.forward(tokens.subarray(0, length))
    }
    expect(compile).not.toHaveBeenCalled()
    fresh.reset()
    await fresh.forward(tokens.subarray(0, 1))
    expect(compile).toHaveBeenCalledTimes(1)
    compile.mockRestore()
  })

  it("says how long the sequence would be when it does not fit, and runs nothing", async () => {
    const short = runner({ max_context: 10 })
    await expect(short.forward(tokens.subarray(0, 11))).rejects.toThrow(new ContextLengthError(11, 10))
    expect(short.length).toBe(0)
  })
})

describe.each<[string, () => Promise<Backend>]>([
  ["cpu, fast", () => createCpuBackend({ threads: 1 })],
  ["cpu, exact", () => createCpuBackend({ threads: 2, precision: "exact" })],
  ["reference, in more classes", async () => Object.assign(new ReferenceBackend(), { rowClasses: [1, 2, 4, 16, 256] })],
])("prompts of every length: %s", (_name, open) => {
  const tokens = Uint32Array.from({ length: 40 }, (_, i) => (i * 37 + 11) % 97)
  const chunk = 24
  let backend: Backend
  let fixture: Awaited<ReturnType<typeof openFixture>>

  beforeAll(async () => {
    backend = await open()
    fixture = await openFixture("clamped", "mlx-q8")
  })
  afterAll(async () => {
    await backend.close()
    await fixture.checkpoint.close()
  })

  it("are the same as their tokens one by one, and compile a step for each class of row counts alone", async () => {
    const single = new Runner(fixture.model, backend)
    const expected: Float32Array[] = []
    for (const token of tokens) expected.push((await single.forward(Uint32Array.of(token))).slice())
    const compile = vi.spyOn(backend, "compile")
    const runner = new Runner(fixture.model, backend, { prefill_chunk: chunk })
    // Up and down among them: 7, 14, ... modulo 41 meets each once.
    const lengths = tokens.map((_, i) => (7 * (i + 1)) % 41)
    for (const length of lengths) {
      runner.reset()
      expect((await runner.forward(tokens.subarray(0, length))).slice(), `${length} tokens`).toEqual(
        expected[length - 1],
      )
    }
    const kinds = new Set<string>()
    for (const length of lengths) {
      for (let rest = length; rest > 0; rest -= chunk) {
        const rows = promptRows(Math.min(rest, chunk), backend, chunk)
        kinds.add(`${typeof rows === "number" ? rows : rows.max} ${rest > chunk}`)
      }
    }
    expect(compile).toHaveBeenCalledTimes(kinds.size)
    expect(kinds.size).toBeLessThan(10)
    compile.mockRestore()
    for (const each of [single, runner]) each.dispose()
  })
})
