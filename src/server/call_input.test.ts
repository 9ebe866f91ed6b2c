import fc from "fast-check"
import { expect, it } from "vitest"
import { argumentsOf, inputOf } from "./call_input.js"

it("arguments as an object come back as they were, but for their spelling", () => {
  const spaced = fc.object().map((value) => JSON.stringify(value, null, 2))
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), spaced), (text) => {
      const input = inputOf(text)
      const sent = argumentsOf(JSON.parse(JSON.stringify(input)))!
      expect(inputOf(sent)).toEqual(input)
      if ("INVALID_JSON" in input) expect(sent).toBe(text)
    }),
  )
})
