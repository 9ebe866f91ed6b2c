import { describe } from "vitest"
import { itConforms } from "../conformance.test.helper.js"
import { ReferenceBackend } from "./backend.js"

// Trivially so; this shows that the suite's own programs lower, run and finish.
describe("reference conforms to itself", () => {
  itConforms(() => new ReferenceBackend())
})
