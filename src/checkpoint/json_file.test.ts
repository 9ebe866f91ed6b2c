import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { readJson } from "./json_file.js"
import { memoryDirectory } from "./memory_directory.js"
import { textFile } from "../../test/checkpoint/memory_files.js"

const read = (text: string) => readJson(memoryDirectory(new Map([["config.json", textFile(text)]])), "config.json")

/** As Python's json.dumps writes it (json/encoder.py, `floatstr`). */
function dumps(value: unknown, space: string): string {
  if (typeof value === "number" && !Number.isFinite(value)) return String(value)
  if (Array.isArray(value)) return `[${space}${value.map((item) => dumps(item, space)).join(`,${space}`)}${space}]`
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  const entries = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${space}${dumps(item, space)}`)
  return `{${space}${entries.join(`,${space}`)}${space}}`
}

/** As transformers writes it. */
function tagged(value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) return { __float__: String(value) }
  if (Array.isArray(value)) return value.map(tagged)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, tagged(item)]))
}

describe("JSON as Python writes it", () => {
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
      fc.double({ noDefaultInfinity: true, noNaN: true }).map((x) => (Object.is(x, -0) ? 0 : x)),
      fc.constantFrom(null, true, false, "NaN", "a -Infinity b", '"', "\\", 'Infinity"'),
      fc.string(),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("Infinity", "__proto__", "NaN")), tie("value"), {
        maxKeys: 4,
      }),
    ),
  }))

  it("comes back as it was, nested and in strings", async () => {
    await fc.assert(
      fc.asyncProperty(value, fc.constantFrom("", " ", "\n  "), async (value, space) => {
        const plain = structuredClone(value)
        expect(await read(dumps({ value }, space))).toEqual({ value: plain })
        expect(await read(JSON.stringify(tagged({ value })))).toEqual({ value: plain })
      }),
      { numRuns: 300 },
    )
  })

  it("may have a byte order mark and white space around it", async () => {
    expect(await read('\ufeff {"a": -Infinity}\r\n')).toEqual({ a: Number.NEGATIVE_INFINITY })
    expect(await read('\ufeff{"a": 1}')).toEqual({ a: 1 })
  })

  it.each([
    '{"a": Infinity',
    '{"a": +Infinity}',
    '{"a": -NaN}',
    '{"a": nan}',
    '{"a": "NaN}',
    "Infinity 1",
    '{"a": inf}',
  ])("is refused when it is none: %s", async (text) => {
    await expect(read(text)).rejects.toMatchObject({ code: "bad_json" })
  })
})
