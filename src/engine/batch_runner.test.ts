import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Backend } from "../backends/backend.js"
import { createCpuBackend } from "../backends/cpu/node_cpu.js"
import { ReferenceBackend } from "../backends/reference/backend.js"
import { openFixture } from "../../test/models/fixtures.js"
import { BatchRunner } from "./batch_runner.js"
import { damagedFrom } from "../../test/engine/damaged_model.js"
import { ContextLengthError, LogitsError } from "./errors.js"
import type { Draw } from "./model_runner.js"
import { Runner } from "./runner.js"

const greedy: Draw = { temperature: 0, uniform: () => 0 }

describe.each<[string, number, () => Promise<Backend>]>([
  ["cpu", 10, () => createCpuBackend({ threads: 1, precision: "exact" })],
  ["reference", 2, async () => new ReferenceBackend()],
])("BatchRunner: %s", (_name, numRuns, open) => {
  let backend: Backend
  let fixture: Awaited<ReturnType<typeof openFixture>>
  let alone: Runner
  beforeAll(async () => {
    backend = await open()
    fixture = await openFixture("clamped", "mlx-q8")
    alone = new Runner(fixture.model, backend, { max_context: 64, steps_ahead: 2 })
  })
  afterAll(async () => {
    await backend.close()
    await fixture.checkpoint.close()
  })

  /** Greedy tokens of one sequence by itself. */
  async function expected(prompt: number[], limit: number): Promise<number[]> {
    alone.reset()
    const drawn: number[] = []
    for await (const id of alone.decode!(Uint32Array.from(prompt), { draw: greedy, limit })) drawn.push(id)
    return drawn
  }

  const batchOf = (sequences: number, max_context = 64) =>
    new BatchRunner(fixture.model, backend, { sequences, max_context, steps_ahead: 3 })

  async function prefill(batch: BatchRunner, prompts: readonly number[][]): Promise<Uint32Array> {
    const first = new Uint32Array(prompts.length)
    for (const [s, prompt] of prompts.entries()) first[s] = await batch.prefill(s, Uint32Array.from(prompt), greedy)
    return first
  }

  it("gives each sequence what it gets alone, also after a run that was left early", async () => {
    const prompt = fc.array(fc.nat({ max: 96 }), { minLength: 1, maxLength: 20 })
    const prompts = fc.array(prompt, { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(
        prompts,
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 0, max: 4 }),
        async (prompts, leave, more) => {
          const batch = batchOf(prompts.length)
          const rows = [await prefill(batch, prompts)]
          for await (const ids of batch.decode(rows[0], 8, greedy)) if (rows.push(ids) === leave + 1) break
          expect(batch.length).toEqual(prompts.map((prompt) => prompt.length + leave))
          if (more > 0) for await (const ids of batch.decode(rows[leave], more, greedy)) rows.push(ids)
          for (const [s, prompt] of prompts.entries()) {
            expect(rows.map((ids) => ids[s])).toEqual(await expected(prompt, 1 + leave + more))
          }
          batch.dispose()
        },
      ),
      { numRuns },
    )
  }, 60_000)

  it("draws each row with a number of its own", async () => {
    const batch = batchOf(2)
    // Nearly 0 draws the first token of the vocabulary, nearly 1 the last, at a temperature that makes all alike.
    const draw: Draw = { temperature: 1e6, uniform: (i) => (i % 2 === 0 ? 0 : 1 - 2 ** -53) }
    const first = await prefill(batch, [[1, 2], [3]])
    for await (const ids of batch.decode(first, 3, draw)) expect([...ids]).toEqual([0, batch.vocab_size - 1])
  })

  it("refuses logits nobody can draw from, after a prompt or in one of the rows", async () => {
    const batch = new BatchRunner(damagedFrom(4, fixture.model), backend, { sequences: 2, max_context: 64 })
    await expect(batch.prefill(0, Uint32Array.of(1, 2, 3, 4, 5), greedy)).rejects.toThrow(LogitsError)
    batch.reset()
    const steps = batch.decode(await prefill(batch, [[1, 2, 3], [9]]), 3, greedy)
    expect((await steps.next()).value).toHaveLength(2)
    await expect(steps.next()).rejects.toThrow(LogitsError)
  })

  it("keeps to the positions that the model knows", async () => {
    const { max_position_embeddings } = fixture.model.config
    const batch = batchOf(1, max_position_embeddings + 100)
    expect(batch.max_context).toBe(max_position_embeddings)
    const tooLong = new Uint32Array(max_position_embeddings + 1)
    await expect(batch.prefill(0, tooLong, greedy)).rejects.toThrow(ContextLengthError)
    batch.dispose()
  })

  it("refuses what does not fit before anything runs", async () => {
    const batch = batchOf(2, 10)
    await expect(batch.prefill(0, new Uint32Array(11), greedy)).rejects.toThrow(new ContextLengthError(11, 10))
    await batch.prefill(0, new Uint32Array(6), greedy)
    await expect(batch.decode(new Uint32Array(2), 5, greedy).next()).rejects.toThrow(new ContextLengthError(11, 10))
    expect(batch.length).toEqual([6, 0])
    await expect(batch.prefill(1, new Uint32Array(), greedy)).rejects.toThrow(RangeError)
  })
})
