import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { argumentsOf, inputOf } from "./call_input.js"
import { RememberedCalls } from "./remembered_calls.js"

describe("arguments as objects", () => {
  it("come back as they were, but for their spelling", () => {
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc.object().map((value) => JSON.stringify(value, null, 2)),
    )
    fc.assert(
      fc.property(text, (text) => {
        const input = inputOf(text)
        const sent = argumentsOf(JSON.parse(JSON.stringify(input)))!
        expect(inputOf(sent)).toEqual(input)
        const calls = new RememberedCalls()
        calls.add("a", { arguments: text, reasoning: "" })
        expect(calls.argumentsOf("a", sent)).toBe(text)
      }),
    )
  })
})

describe("remembered calls", () => {
  it("are those of the model, if the client did not change them", () => {
    const calls = new RememberedCalls()
    calls.add("a", { arguments: '{ "x": 1.0 }', reasoning: "Hm." })
    expect(calls.argumentsOf("a", '{"x":1}')).toBe('{ "x": 1.0 }')
    expect(calls.argumentsOf("a", '{"x":2}')).toBe('{"x":2}')
    expect(calls.argumentsOf("b", '{"x":1}')).toBe('{"x":1}')
    expect([calls.reasoningOf("a"), calls.reasoningOf("b"), calls.reasoningOf(undefined)]).toEqual(["Hm.", "", ""])
  })

  it("are forgotten, the oldest first, when there are too many", () => {
    const calls = new RememberedCalls(100)
    for (const id of "abcdefghij") calls.add(id, { arguments: "{}", reasoning: id.repeat(30) })
    for (let i = 0; i < 9; i++) calls.add("j", { arguments: "{}", reasoning: "j".repeat(30) })
    expect(Array.from("abcdefghij", (id) => calls.reasoningOf(id) !== "").lastIndexOf(false)).toBe(6)
  })
})
