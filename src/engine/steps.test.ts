import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import type { Backend } from "../backends/backend.js"
import { createCpuBackend } from "../backends/cpu/node_cpu.js"
import { ReferenceBackend } from "../backends/reference/backend.js"
import { openFixture } from "../../test/models/fixtures.js"
import { schedulerOf } from "../../test/engine/scheduling.js"
import type { Scheduler } from "./scheduler.js"
import { score } from "./score.js"

/** Each class's own step beside the one that decodes. */
const CLASSES = [1, 2, 4, 16, 256]

describe.each<[string, () => Promise<Backend>]>([
  ["cpu, fast", () => createCpuBackend({ threads: 1 })],
  ["cpu, exact", () => createCpuBackend({ threads: 2, precision: "exact" })],
  ["reference, in more classes", async () => Object.assign(new ReferenceBackend(), { rowClasses: CLASSES })],
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

  const setup = (prefill_chunk: number) =>
    schedulerOf(fixture.model, backend, { max_context: 64, max_sequences: 1, prefill_chunk })

  /** The logits after the last token. */
  async function last(scheduler: Scheduler, ids: Uint32Array): Promise<Float32Array> {
    let logits = new Float32Array()
    for await (const rows of score(scheduler, ids)) logits = rows.slice(-scheduler.vocab_size)
    return logits
  }

  it("are the same as their tokens one by one, and compile a step for each class of row counts alone", async () => {
    const [single, many] = [setup(1), setup(chunk)]
    const expected: Float32Array[] = []
    for await (const row of score(single.scheduler, tokens)) expected.push(row.slice())
    expect(expected).toHaveLength(tokens.length)
    const compile = vi.spyOn(backend, "compile")
    // Up and down among them: 7, 14, ... modulo 41 meets each once.
    const lengths = tokens.map((_, i) => (7 * (i + 1)) % 41)
    for (const length of lengths) {
      expect(await last(many.scheduler, tokens.subarray(0, length)), `${length} tokens`).toEqual(expected[length - 1])
    }
    const classes = new Set<number | undefined>()
    for (const length of lengths) {
      for (let rest = length; rest > 0; rest -= chunk) {
        classes.add(backend.rowClasses.find((most) => most >= Math.min(rest, chunk)))
      }
    }
    // One row is a class of its own.
    expect(compile).toHaveBeenCalledTimes(new Set([1, ...classes]).size)
    compile.mockRestore()
    for (const { close } of [single, many]) await close()
  })
})
