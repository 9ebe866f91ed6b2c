import { describe, expect, it } from "vitest"
import { objectOf } from "../../../test/text/grammar_text.js"
import { GrammarError } from "../grammar.js"
import { jsonSchemaGrammar } from "./schema_grammar.js"

function problem(schema: unknown): string {
  try {
    jsonSchemaGrammar(schema)
    return "none"
  } catch (error) {
    if (error instanceof GrammarError) return error.message
    throw error
  }
}

describe("a schema that no answer can be held to", () => {
  it.each<readonly [unknown, RegExp]>([
    ...["not", "if", "then", "else", "contains"].map((name) => [{ [name]: {} }, new RegExp(`^${name}: `)] as const),
    [{ $dynamicRef: {} }, /^\$dynamicRef: /],
    [{ dependentRequired: { a: ["b"] } }, /^dependentRequired: /],
    [{ patternProperties: { a: {} } }, /^patternProperties: /],
    [{ propertyNames: { pattern: "a" } }, /^propertyNames: /],
    [{ unevaluatedProperties: false }, /^unevaluatedProperties: /],
    [{ type: "array", uniqueItems: true }, /^uniqueItems: /],
    [{ properties: { a: { type: "string", not: {} } } }, /^properties.a.not: /],
    [{ type: "object", minProperties: 2 }, /^minProperties: /],
    [{ ...objectOf({ a: {}, b: {} }), maxProperties: 1 }, /^maxProperties: /],
    [{ type: "string", pattern: "a", maxLength: 3 }, /^maxLength: /],
    [{ type: "string", format: "date", minLength: 3 }, /^minLength: /],
    [{ type: "string", maxLength: 65 }, /^maxLength: 65 is too long/],
    [{ type: "array", minItems: 1001 }, /^minItems: /],
    [{ type: "string", format: "uri" }, /^format: "uri" is not supported/],
    [{ type: "string", format: "constructor" }, /^format: /],
    [{ type: "number", multipleOf: 0.1 }, /^multipleOf: /],
    [{ pattern: "(?=a)" }, /^pattern: looks ahead/],
    [{ pattern: "(a)\\1" }, /^pattern: refers back/],
    [{ pattern: "\\bword" }, /^pattern: has \\b/],
    [{ pattern: "a^b" }, /^pattern: has \^ inside/],
    [{ pattern: "(" }, /^pattern: is no regular expression/],
    [{ pattern: "(a{1000}){1000}" }, /^pattern: comes to more/],
    [{ $ref: "https://example.com/schema" }, /^\$ref: .* cannot be followed/],
    [{ $ref: "#/$defs/missing" }, /^\$ref: .* is not there/],
    [{ $ref: "#/__proto__" }, /^\$ref: .* is not there/],
    [{ $ref: "#" }, /refers to itself/],
    [
      { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/b" }, b: { allOf: [{ $ref: "#/$defs/a" }] } } },
      /refers to itself/,
    ],
    [{ type: "object", properties: { a: { $ref: "#" } }, required: ["a"] }, /no finite value/],
    [false, /no finite value/],
    [{ allOf: [{ type: "string" }, { type: "null" }] }, /no finite value/],
    [{ type: "integer", minimum: 3, maximum: 2 }, /no finite value/],
    [{ oneOf: [{ type: "number" }, { type: "integer" }] }, /^oneOf: branches 0 and 1 may both fit/],
    [{ oneOf: [objectOf({ a: {} }), objectOf({ a: {}, b: {} }, ["a"])] }, /^oneOf: /],
    [{ ...objectOf({ a: {}, b: {} }, []), oneOf: [{ required: ["a"] }, { required: ["b"] }] }, /^oneOf: /],
    [{ type: "text" }, /^type: has to be one of null, /],
    [{ items: [{}] }, /^items: .*prefixItems/],
    [{ exclusiveMinimum: true, minimum: 1 }, /^exclusiveMinimum: has to be a number/],
    [{ properties: { a: 1 } }, /^properties.a: is no schema/],
    [{ enum: [] }, /^enum: /],
    [JSON.parse('{"properties":{"__proto__":{}}}'), /__proto__/],
    [7, /^the schema: is no schema/],
    [{ type: "number", minimum: 1e15 }, /^minimum: .* too many digits/],
    [{ type: "number", exclusiveMinimum: 0.1234567890123456 }, /^exclusiveMinimum: .* too many digits/],
  ])("is refused for %j", (schema, message) => {
    expect(problem(schema)).toMatch(message)
  })

  it("comes to an end for hostile schemas", () => {
    let deep: unknown = { type: "null" }
    for (let i = 0; i < 10_000; i++) deep = { type: "array", items: deep }
    expect(problem(deep)).toMatch(/values deep/)
    let all: unknown = {}
    for (let i = 0; i < 10_000; i++) all = { allOf: [all] }
    expect(problem(all)).toMatch(/deep/)
    let value: unknown = 1
    for (let i = 0; i < 10_000; i++) value = [value]
    expect(problem({ const: value })).toMatch(/deep/)
    const wide = Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`p${i}`, { type: "null" }]))
    expect(problem(objectOf(wide))).toMatch(/too large/)
    const doubled = Object.fromEntries(
      Array.from({ length: 20 }, (_, i) => [
        `d${i}`,
        { anyOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] },
      ]),
    )
    expect(problem({ $ref: "#/$defs/d0", $defs: { ...doubled, d20: {} } })).toMatch(/alternatives|too long/)
    const squared = Object.fromEntries(
      Array.from({ length: 20 }, (_, i) => [
        `d${i}`,
        { allOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] },
      ]),
    )
    expect(problem({ $ref: "#/$defs/d0", $defs: { ...squared, d20: {} } })).toMatch(/too long/)
    const tagged = Array.from({ length: 250 }, (_, i) => objectOf({ kind: { const: i } }))
    expect(problem({ oneOf: tagged })).toBe("none")
    expect(problem({ enum: ["\ud800", "\udfff", 1e308, -1e-308] })).toBe("none")
    expect(problem(objectOf({ "\ud800": { type: "null" } }))).toBe("none")
  })
})
