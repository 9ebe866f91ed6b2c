import { runConformance } from "../conformance/conformance.test.helper.js"
import { ReferenceBackend } from "./backend.js"

// Held to others' results; against itself it shows only that the suite's own programs lower, run and finish.
runConformance("reference", () => new ReferenceBackend())
