import { expect, it } from "vitest"
import { apply, input } from "../../graph/build.js"
import type { Value } from "../../graph/ir.js"
import { lower } from "../../graph/lower.js"
import { runConformance } from "../conformance/conformance.test.helper.js"
import { ReferenceBackend } from "./backend.js"

// Held to others' results; against itself it shows only that the suite's own programs lower, run and finish.
runConformance("reference", () => new ReferenceBackend())

it("lets other events through during a long replay", async () => {
  let x: Value = input("x", [1], "float32")
  for (let i = 0; i < 100; i++) x = apply({ kind: "unary", fn: "neg" }, [x])
  const executable = await new ReferenceBackend().compile(lower([x]))
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
