import fc from "fast-check"
import type { JsHarmonyEncoding } from "openai-harmony"
import { beforeAll, describe, expect, it } from "vitest"
import { officialHarmony } from "../../test/text/harmony_oracle.js"
import { toolsSection, typescript } from "./harmony_tools.js"
import type { Schema } from "./json_schema.js"
import type { Tool } from "./messages.js"

describe("tools, against the official code", () => {
  let official: JsHarmonyEncoding
  beforeAll(async () => {
    official = await officialHarmony()
  })

  function officialSection(tools: readonly Tool[]): string {
    const functions = tools.map(({ name, description = "", parameters = null }) => ({ name, description, parameters }))
    const namespace = { functions: { name: "functions", description: null, tools: functions } }
    const message = {
      role: "developer" as const,
      content: [{ type: "developer_content" as const, instructions: null, tools: namespace }],
    }
    const ids = official.renderConversation({ messages: [message] }, { auto_drop_analysis: true })
    return /<\|message\|>(.*)<\|end\|>$/s.exec(official.decodeUtf8(ids))![1]
  }

  const text = fc.string({ unit: "grapheme", maxLength: 8 }).filter((text) => !/[\n\r\u2028\u2029]/.test(text))
  const key = fc
    .oneof(fc.constantFrom("a", "b", "content-type", "a b", "$ref", "x.y"), text)
    .filter((key) => key !== "")
  const value = fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null), fc.array(fc.integer(), { maxLength: 2 }))
  const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 3 })
  const notes = {
    title: optional(text),
    description: optional(text),
    default: optional(value),
    examples: optional(fc.array(value, { maxLength: 2 })),
    nullable: optional(fc.boolean()),
  }
  const typed = (shape: Record<string, fc.Arbitrary<unknown>>) => fc.record({ ...shape, ...notes })
  const names = fc.constantFrom("string", "number", "integer", "boolean", "null", "object", "array")
  const { schema } = fc.letrec<{ schema: Schema; object: Schema }>((tie) => ({
    schema: fc.oneof(
      { depthSize: "small" },
      typed({ type: fc.constant("string"), enum: optional(fc.array(value, { maxLength: 3 })) }),
      typed({ type: fc.constantFrom("number", "integer", "boolean", "null", "array", "whatever") }),
      typed({ type: fc.array(names, { minLength: 1, maxLength: 3 }) }),
      typed({ type: fc.constant("array"), items: tie("schema") }),
      typed({ oneOf: fc.array(tie("schema"), { minLength: 1, maxLength: 3 }) }),
      tie("object"),
    ),
    object: typed({
      type: fc.constant("object"),
      properties: optional(fc.dictionary(key, tie("schema"), { maxKeys: 4 })),
      required: optional(fc.array(key, { maxLength: 2 })),
      additionalProperties: optional(fc.boolean()),
    }),
  }))
  const json = (value: Schema): Schema => JSON.parse(JSON.stringify(value))
  const tool = fc.record({
    name: fc.stringMatching(/^[a-z._-]{1,8}$/),
    description: optional(fc.array(text, { maxLength: 3 }).map((lines) => lines.join("\n"))),
    parameters: optional(schema.map(json)),
  })

  it("random schemas are the same, byte for byte", () => {
    fc.assert(
      fc.property(fc.array(tool, { minLength: 1, maxLength: 2 }), (tools) => {
        expect(toolsSection(tools)).toBe(officialSection(tools))
      }),
      { numRuns: 200 },
    )
  })

  it("where the official form knows a union, it knows no parentheses", () => {
    const parameters = { type: "array", items: { type: "string", enum: ["a", "b"] } }
    expect(typescript(parameters)).toBe('"a" | "b"[]')
    expect(toolsSection([{ name: "f", parameters }])).toBe(officialSection([{ name: "f", parameters }]))
  })
})

/** The type of a property with this schema. */
function property(schema: Schema, root: Schema = {}): string {
  const text = typescript({ type: "object", properties: { p: schema }, required: ["p"], ...root })
  return text.slice(2, -2)
}

describe("what the official form has no words for", () => {
  const A = { type: "string", enum: ["a", "b"] }

  it.each<[string, Schema, string]>([
    ["anyOf", { anyOf: [{ type: "string" }, { type: "null" }] }, "p: string | null,"],
    ["anyOf of enums", { anyOf: [A, { type: "integer" }] }, 'p: "a" | "b" | number,'],
    ["anyOf of one", { anyOf: [{ type: "integer" }], default: 3 }, "p: number, // default: 3"],
    ["anyOf of the same", { anyOf: [{ type: "integer" }, { type: "number" }] }, "p: number,"],
    ["anyOf in anyOf", { anyOf: [{ anyOf: [{ const: 1 }, { const: 2 }] }, { type: "null" }] }, "p: 1 | 2 | null,"],
    [
      "oneOf in anyOf",
      { anyOf: [{ oneOf: [{ type: "string" }, { type: "number" }] }, { type: "null" }] },
      "p: string | number | null,",
    ],
    [
      "anyOf with descriptions",
      { anyOf: [{ type: "string", description: "one" }, { type: "null" }], description: "d" },
      "// d\np:\n | string\n | null\n,",
    ],
    ["const", { const: "x" }, 'p: "x",'],
    ["typed constants in anyOf", { anyOf: [{ type: "string", const: "a" }, { type: "null" }] }, 'p: "a" | null,'],
    ["const null", { const: null }, "p: null,"],
    ["enum without a type", { enum: ["a", 1, true, null], default: "a" }, 'p: "a" | 1 | true | null, // default: a'],
    ["no type but properties", { properties: { q: { type: "number" } } }, "p: {\n    q?: number,\n    },"],
    ["no type but items", { items: { type: "number" } }, "p: number[],"],
    [
      "arrays of unions",
      { type: "array", items: { anyOf: [{ type: "string" }, { type: "number" }] } },
      "p: (string | number)[],",
    ],
    ["arrays of enums without a type", { type: "array", items: { enum: [1, 2] } }, "p: (1 | 2)[],"],
    [
      "arrays of arrays of unions",
      { type: "array", items: { type: "array", items: { enum: ["a", null] } } },
      'p: ("a" | null)[][],',
    ],
    ["tuples", { type: "array", prefixItems: [{ type: "string" }, { type: "number" }] }, "p: [string, number],"],
    ["tuples with more", { prefixItems: [{ type: "string" }], items: { enum: [1, 2] } }, "p: [string, ...(1 | 2)[]],"],
    ["older tuples", { type: "array", items: [{ type: "string" }] }, "p: [string],"],
    ["maps", { type: "object", additionalProperties: { type: "number" } }, "p: {\n    [key: string]: number,\n    },"],
    ["type lists with items", { type: ["array", "null"], items: { type: "string" } }, "p: string[] | null,"],
    [
      "arrays of type lists with items",
      { type: "array", items: { type: ["array", "null"], items: { type: "string" } } },
      "p: (string[] | null)[],",
    ],
    [
      "type lists with properties",
      { type: ["object", "null"], properties: { q: { type: "string" } }, required: ["q"] },
      "p: {\n    q: string,\n    } | null,",
    ],
    ["allOf of one", { allOf: [{ type: "string" }], description: "d" }, "// d\np: string,"],
    [
      "allOf of objects",
      {
        allOf: [
          { type: "object", properties: { q: { type: "string" } }, required: ["q"] },
          { properties: { r: { type: "number" } } },
        ],
      },
      "p: {\n    q: string,\n    r?: number,\n    },",
    ],
    ["nothing", {}, "p: any,"],
    ["a reference to nowhere", { $ref: "#/$defs/none" }, "p: any,"],
    ["a reference elsewhere", { $ref: "https://example.com/x" }, "p: any,"],
  ])("%s", (_, schema, expected) => {
    expect(property(schema)).toBe(expected)
  })

  it("references are followed, with what stands beside them", () => {
    const $defs = { Color: { type: "string", enum: ["r", "g"], description: "A colour." }, "a/b~c d": { const: 1 } }
    expect(property({ $ref: "#/$defs/Color" }, { $defs })).toBe('// A colour.\np: "r" | "g",')
    expect(property({ $ref: "#/$defs/Color", description: "Mine.", default: "r" }, { $defs })).toBe(
      '// Mine.\np: "r" | "g", // default: r',
    )
    expect(property({ allOf: [{ $ref: "#/$defs/Color" }], default: "g" }, { $defs })).toBe(
      '// A colour.\np: "r" | "g", // default: g',
    )
    expect(property({ anyOf: [{ $ref: "#/$defs/Color" }, { type: "null" }] }, { $defs })).toBe('p: "r" | "g" | null,')
    expect(property({ $ref: "#/$defs/a~1b~0c%20d" }, { $defs })).toBe("p: 1,")
    expect(property({ $ref: "#/definitions/Color" }, { definitions: $defs })).toBe('// A colour.\np: "r" | "g",')
    expect(typescript({ $ref: "#/$defs/Color", $defs })).toBe('"r" | "g"')
  })

  it("a definition inside itself is named", () => {
    const Node = { type: "object", properties: { next: { anyOf: [{ $ref: "#/$defs/Node" }, { type: "null" }] } } }
    expect(property({ $ref: "#/$defs/Node" }, { $defs: { Node } })).toBe(
      "p: {\n    next?: any /* Node */ | null,\n    },",
    )
    expect(property({ type: "array", items: { $ref: "#" } })).toBe("p: any[],")
  })
})

describe("hostile schemas", () => {
  it("line breaks stay inside comments and strings", () => {
    const evil = "a\nb\r\nc\u2028d\r"
    const schema = {
      type: "object",
      description: evil,
      properties: {
        [evil]: { type: "string", title: evil, description: evil, examples: [evil], default: evil },
        enumeration: { type: "string", enum: [evil], default: evil },
        union: {
          description: evil,
          default: evil,
          oneOf: [{ type: "string", description: `x${evil}`, default: evil }],
        },
        list: { type: "array", items: { oneOf: [{ type: "string", description: evil, enum: ["q"], default: evil }] } },
      },
    }
    const section = toolsSection([{ name: "f", description: evil, parameters: schema }])
    const lines = section.split(/[\n\r\u2028\u2029]/)
    for (const line of lines) expect(line).not.toMatch(/^\s*[bcd]\b/)
  })

  it("terminates with bounded output", () => {
    const doubling = Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [
        `d${i}`,
        { type: "object", properties: { a: { $ref: `#/$defs/d${i + 1}` }, b: { $ref: `#/$defs/d${i + 1}` } } },
      ]),
    )
    expect(typescript({ $ref: "#/$defs/d0", $defs: doubling }).length).toBeLessThan(1 << 18)
    const circle = { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" }, c: { allOf: [{ $ref: "#/$defs/c" }] } }
    for (const name of ["a", "b", "c"]) expect(typescript({ $ref: `#/$defs/${name}`, $defs: circle })).toMatch(/^any/)
    const nest = (wrap: (inner: Schema) => Schema) =>
      Array.from({ length: 5000 }).reduce<Schema>((inner) => wrap(inner), { type: "string" })
    for (const wrap of [
      (inner: Schema) => ({ type: "array", items: inner }),
      (inner: Schema) => ({ type: "object", properties: { p: inner } }),
      (inner: Schema) => ({ anyOf: [inner, { type: "null" }] }),
      (inner: Schema) => ({ anyOf: [inner] }),
      (inner: Schema) => ({ allOf: [inner] }),
      (inner: Schema) => ({ allOf: [inner, {}] }),
      (inner: Schema) => ({ oneOf: [inner] }),
      (inner: Schema) => ({ prefixItems: [inner] }),
      (inner: Schema) => ({ additionalProperties: inner }),
    ]) {
      expect(typescript(nest(wrap)).length).toBeLessThan(1 << 18)
    }
    const everyLevel = {
      anyOf: [{ $ref: "#" }, { type: "array", items: { $ref: "#" } }],
      properties: { p: { $ref: "#" } },
    }
    expect(typescript(everyLevel).length).toBeLessThan(1 << 18)
  })

  it("whatever the schema is, it gives text", () => {
    const key = fc.constantFrom(
      "type",
      "properties",
      "items",
      "anyOf",
      "oneOf",
      "allOf",
      "$ref",
      "$defs",
      "enum",
      "const",
    )
    const leaf = fc.oneof(
      fc.jsonValue({ maxDepth: 1 }),
      fc.constantFrom("object", "array", "string", "#", "#/$defs/a", "#/properties/a"),
    )
    const { node } = fc.letrec((tie) => ({
      node: fc.oneof(
        { depthSize: "medium" },
        leaf,
        fc.array(tie("node"), { maxLength: 3 }),
        fc.dictionary(fc.oneof(key, fc.constantFrom("a", "b", "description", "__proto__")), tie("node"), {
          maxKeys: 5,
        }),
      ),
    }))
    fc.assert(
      fc.property(fc.dictionary(key, node), (schema) => {
        const text = typescript(schema)
        expect(text).not.toContain("undefined")
        expect(text.length).toBeLessThan(1 << 20)
      }),
      { numRuns: 1000 },
    )
  })
})
