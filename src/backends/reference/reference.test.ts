import { expect, it } from "vitest"
import { apply, input } from "../../graph/build.js"
import type { Value } from "../../ir/value.js"
import { lower } from "../../graph/lower.js"
import { runConformance } from "../../../test/backends/conformance/conformance.js"
import { Random, stored } from "../../../test/backends/conformance/random.js"
import { hopelessRows } from "../../../test/backends/conformance/row_cases.js"
import { run } from "../../../test/backends/conformance/run.js"
import { sampled } from "../../../test/backends/conformance/sampling_cases.js"
import { NO_INDEX } from "../../ir/specs/rows.js"
import { ReferenceBackend } from "./backend.js"

// Held to others' results; against itself it shows only that the suite's own programs lower, run and finish.
runConformance("reference", () => new ReferenceBackend())

it("lets other events through during a long replay", async () => {
  let x: Value = input("x", [1], "float32")
  for (let i = 0; i < 100; i++) x = apply({ kind: "unary", fn: "neg" }, { x }).y
  const executable = await new ReferenceBackend().compile(lower({ outputs: [x] }))
  let events = 0
  let done = false
  const count = () => {
    events++
    if (!done) setTimeout(count)
  }
  setTimeout(count)
  await executable.replay({ x: Float32Array.of(1) })
  done = true
  expect(events).toBeGreaterThan(3)
})

it("chooses from rows that somebody can choose from, and from no other", async () => {
  const choices = [0, 0.2, 0.4, 0.6, 0.8].map((uniform) => ({ temperature: 1, top_k: 0, top_p: 1, min_p: 0, uniform }))
  for (const [name, n, logits] of hopelessRows(new Random(3), 7)) {
    const x = stored("float32", [choices.length, n], new Uint8Array(logits.slice().buffer))
    const outputs = [apply({ kind: "argmax" }, { x }).ids, sampled({ n, logits, choices })]
    for (const found of (await run({ name, outputs }, new ReferenceBackend()))[0]) {
      expect(
        [...found].map((index) => index === NO_INDEX),
        name,
      ).toEqual([false, true, false, true, false])
    }
  }
})
