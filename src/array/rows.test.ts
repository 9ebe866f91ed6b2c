import fc from "fast-check"
import { afterAll, describe, expect, it } from "vitest"
import { createCpuBackend } from "../backends/cpu/node_cpu.js"
import { ReferenceBackend } from "../backends/reference/backend.js"
import { NO_INDEX } from "../ir/specs/rows.js"
import { Storage } from "../tensor/storage.js"
import * as mx from "./mx.js"
import { MxArray } from "./mx_array.js"

const SLOTS = 5

/** A row of a step: where its id waits, or the id; and where the next step finds it. */
const row = fc.record({
  from: fc.option(fc.nat(SLOTS - 1), { nil: NO_INDEX }),
  told: fc.nat(1000),
})

const step = fc
  .tuple(
    fc.array(row, { minLength: 1, maxLength: SLOTS }),
    fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: SLOTS }),
    fc.infiniteStream(fc.boolean()),
  )
  .map(([rows, slots, kept]) => rows.map((row, i) => ({ ...row, to: kept.next().value ? slots[i] : NO_INDEX })))

describe.each([
  ["reference", async () => new ReferenceBackend()],
  ["cpu", () => createCpuBackend({ threads: 2 })],
])("take and put on %s", (_, create) => {
  const backend = create()
  afterAll(async () => (await backend).close())

  it("carry ids from step to step in device memory, beside ids that are told", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
        const waiting = new Storage("waiting", "uint32", [SLOTS], null)
        const rows = { name: "rows", max: SLOTS }
        const each = { shape: [rows], dtype: "uint32" } as const
        const run = await mx.compile(
          { from: each, told: each, to: each },
          ({ from, told, to }) => {
            const ids = mx.take(MxArray.stateOf(waiting), from, told)
            return { outputs: [ids], effects: [mx.put(waiting, ids, to)] }
          },
          { device: await backend },
        )
        const expected = new Uint32Array(SLOTS)
        for (const step of steps) {
          const of = (name: "from" | "told" | "to") => Uint32Array.from(step, (row) => row[name])
          await run.replay({ from: of("from"), told: of("told"), to: of("to") })
          const ids = step.map(({ from, told }) => (from === NO_INDEX ? told : expected[from]))
          for (const [i, { to }] of step.entries()) if (to !== NO_INDEX) expected[to] = ids[i]
          const found = new Uint32Array(SLOTS)
          await run.outputs[0].storage.read(0, new Uint8Array(found.buffer))
          expect([...found.subarray(0, step.length)]).toEqual(ids)
        }
        const found = new Uint32Array(SLOTS)
        await waiting.read(0, new Uint8Array(found.buffer))
        expect(found).toEqual(expected)
      }),
      { numRuns: 40, seed: 6 },
    )
  })
})
