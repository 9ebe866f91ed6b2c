import { expect, it } from "vitest"
import { GrammarError } from "../text/grammar.js"
import { asRequestError } from "./faults.js"

it("a schema that no answer can be held to is the caller's fault, and says whose it is and where", () => {
  const error = new GrammarError("properties.age", "multipleOf is not supported", "tools.1", 'the tool "f"')
  expect(asRequestError(error)).toMatchObject({
    kind: "invalid_request",
    status: 400,
    param: "tools.1",
    code: null,
    message: 'the tool "f", properties.age: multipleOf is not supported',
  })
})
