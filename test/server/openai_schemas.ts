import { Ajv2020 } from "ajv/dist/2020.js"
import { readFileSync } from "node:fs"
import { expect } from "vitest"

const FIXTURE = new URL("../../../test/server/fixtures/openai_schemas.json", import.meta.url)

/** From OpenAI's own document: see tools/reference/openai_schemas.py. */
const ajv = new Ajv2020({ strict: false, allErrors: true, formats: { unixtime: true, uri: true, date: true } })
ajv.addSchema(JSON.parse(readFileSync(FIXTURE, "utf8")))

/** Expects that a value is what OpenAI's document says of an object of this name. */
export function expectOpenAI(name: string, value: unknown): void {
  const validate = ajv.getSchema(`openai#/$defs/${name}`)!
  // As text: a value may be nested more deeply than the test runner can send it from its worker.
  expect(
    validate(value) ? null : `${ajv.errorsText(validate.errors)}: ${JSON.stringify(value).slice(0, 2000)}`,
  ).toBeNull()
}
