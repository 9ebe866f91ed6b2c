import Ajv2020 from "ajv/dist/2020.js"
import addFormats from "ajv-formats"
import fc from "fast-check"
import { afterAll, afterEach, describe, expect, it } from "vitest"
import { allowedIds, grammarTokenizer, objectOf, random, sample } from "../../../test/text/grammar_text.js"
import { type CompiledGrammars, GrammarError } from "../grammar.js"
import { NodeGrammars } from "../node_grammars.js"
import { jsonObjectGrammar, jsonSchemaGrammar } from "./schema_grammar.js"

const grammars = new NodeGrammars(grammarTokenizer, grammarTokenizer.vocab_size)
afterAll(() => grammars.close())

/** Grammars in use: given back after each test, also one that failed. */
const open: CompiledGrammars[] = []
afterEach(() => {
  for (const compiled of open.splice(0)) compiled.close()
})
async function compile(texts: readonly string[]): Promise<CompiledGrammars> {
  const compiled = await grammars.compile(texts)
  open.push(compiled)
  return compiled
}

const ajv = addFormats.default(new Ajv2020.default({ strict: false, logger: false, ownProperties: true }))
const utf8 = new TextEncoder()

/** Whether the grammar lets a text through, byte by byte, and lets it end. */
function accepts(compiled: CompiledGrammars, index: number, text: string): boolean {
  const matcher = compiled.open(index)
  try {
    for (const byte of utf8.encode(text)) {
      if (!allowedIds(matcher).includes(byte)) return false
      matcher.accept(byte)
    }
    return matcher.mayEnd
  } finally {
    matcher.close()
  }
}

const TREE = {
  $ref: "#/$defs/node",
  $defs: {
    node: {
      type: "object",
      properties: { value: { type: "integer" }, children: { type: "array", items: { $ref: "#/$defs/node" } } },
      required: ["value"],
    },
  },
}
const SHAPE = {
  oneOf: [
    { type: "object", properties: { kind: { const: "circle" }, r: { type: "number" } }, required: ["kind", "r"] },
    { type: "object", properties: { kind: { enum: ["square"] }, a: { type: "number" } }, required: ["kind"] },
  ],
}

/** Schemas with texts that their grammars let through, and texts that they do not. */
const CASES: readonly (readonly [string, unknown, readonly string[], readonly string[]])[] = [
  ["any value", true, ['{"a":[1,null]}', "1e5", '"\\ud83d\\ude00"', "[\n  1]"], ["01", "[1,]", '"\n"', "nul"]],
  ["an empty schema", {}, ["null", '""'], ["", "'a'"]],
  ["null", { type: "null" }, ["null"], ["0"]],
  ["boolean", { type: "boolean" }, ["true", "false"], ['"true"']],
  ["string", { type: "string" }, ['""', '"é\u{1f600}\\n\\u00e9"'], ['"\\x"', '"\\ud800"', "a"]],
  ["integer", { type: "integer" }, ["0", "-7", "123456789012345"], ["-0", "1.0", "01", "1e3"]],
  ["number", { type: "number" }, ["0", "-1.5", "2.5e-7"], ["1.", ".5", "+1", "NaN"]],
  ["several types", { type: ["string", "null"] }, ['"a"', "null"], ["1"]],
  ["nullable", { type: "integer", nullable: true }, ["1", "null"], ['"1"']],
  ["nullable, but with an enum", { type: "string", nullable: true, enum: ["a"] }, ['"a"'], ["null"]],
  ["enum", { enum: ["é", '"', 1, null, { a: [1] }] }, ['"é"', '"\\""', "1", "null", '{"a":[1]}'], ['"e"', "2"]],
  ["enum beside type", { type: "string", enum: ["a", 1] }, ['"a"'], ["1"]],
  ["enum beside minimum", { enum: [1, 2, 3], minimum: 2 }, ["2", "3"], ["1"]],
  ["const", { const: "日本 \u{1f600}" }, ['"日本 \u{1f600}"'], ['"日"']],
  ["const of half a pair", { const: "\ud800" }, ['"\\ud800"'], ['"\\ud801"']],
  [
    "words that begin alike, with hexadecimal digits behind what is beyond ASCII",
    { enum: ["éabé", "éab", "éa", "aéb", "\u007fa"] },
    ['"éabé"', '"éab"', '"éa"', '"aéb"', '"\u007fa"'],
    ['"é"', '"ébé"', '"éabb"'],
  ],
  [
    "integers of several lengths that begin alike",
    { type: "integer", maximum: -1073 },
    ["-1073", "-2000", "-10730"],
    ["-25", "-129", "-909", "-1072", "1073"],
  ],
  [
    "properties in order",
    objectOf({ a: { type: "null" }, b: { type: "null" } }),
    ['{"a":null,"b":null}', '{ "a": null,\n  "b": null\n}'],
    ['{"b":null,"a":null}', '{"a":null}', "{}"],
  ],
  [
    "optional properties",
    objectOf({ a: { type: "null" }, b: { type: "null" }, c: { type: "null" } }, ["b"]),
    ['{"b":null}', '{"a":null,"b":null}', '{"b":null,"c":null}'],
    ["{}", '{"a":null,"c":null}', '{,"b":null}', '{"b":null,}'],
  ],
  ["all optional", objectOf({ a: { type: "null" }, b: { type: "null" } }, []), ["{}", '{"b":null}'], ['{"c":1}']],
  [
    "names that need escapes",
    objectOf({ '"é\n\u{1f600}': { type: "null" } }),
    ['{"\\"é\\n\u{1f600}":null}'],
    ['{"é":null}'],
  ],
  [
    "names from prototypes",
    objectOf({ constructor: { type: "null" }, toString: { type: "null" } }),
    ['{"constructor":null,"toString":null}'],
    ["{}"],
  ],
  ["any object", { type: "object" }, ["{}", '{"a":{"b":[]}}'], ["[]"]],
  [
    "an object that is only required to have",
    { required: ["a"] },
    ['{"a":1}', '{"a":1,"b":2}'],
    ["{}", '{"b":2}', '{"a":1,"a":2}'],
  ],
  [
    "additional ones of a schema",
    { type: "object", properties: { ab: { type: "string" } }, additionalProperties: { type: "integer" } },
    ['{"ab":"","a":1,"abc":2,"":3,"é":4}', '{"x":1}', "{}"],
    ['{"x":"1"}', '{"a":1,"ab":2}', '{"\\u0061b":2}', '{"__proto__":1}'],
  ],
  ["no additional ones", { type: "object", additionalProperties: false }, ["{}"], ['{"a":1}']],
  [
    "a property that cannot be",
    objectOf({ a: false, b: { type: "null" } }, ["b"]),
    ['{"b":null}'],
    ['{"a":1,"b":null}'],
  ],
  [
    "minProperties 1",
    { ...objectOf({ a: { type: "null" }, b: { type: "null" } }, []), minProperties: 1 },
    ['{"b":null}'],
    ["{}"],
  ],
  ["maxProperties 0", { type: "object", maxProperties: 0 }, ["{}"], ['{"a":1}']],
  ["items", { type: "array", items: { type: "integer" } }, ["[]", "[1,\n  2]"], ["[1,]", '["a"]']],
  [
    "minItems and maxItems",
    { items: { type: "null" }, minItems: 1, maxItems: 2 },
    ["[null]", "[null,null]"],
    ["[]", "[null,null,null]"],
  ],
  ["maxItems 0", { type: "array", maxItems: 0 }, ["[]"], ["[1]"]],
  [
    "prefixItems",
    { prefixItems: [{ type: "string" }, { type: "integer" }] },
    ["[]", '["a"]', '["a",1]'],
    ['["a",1,2]', "[1]"],
  ],
  [
    "prefixItems and items",
    { prefixItems: [{ type: "null" }], items: { type: "integer" }, minItems: 1 },
    ["[null]", "[null,1,2]"],
    ["[]", "[null,null]"],
  ],
  [
    "prefixItems and no items",
    { prefixItems: [{ type: "null" }], items: false, minItems: 1 },
    ["[null]"],
    ["[null,1]"],
  ],
  ["anyOf", { anyOf: [{ type: "null" }, { const: 1 }] }, ["null", "1"], ["2"]],
  [
    "anyOf with siblings",
    {
      type: "object",
      properties: { a: { type: "null" } },
      anyOf: [{ required: ["a"] }, { properties: { b: { type: "null" } }, required: ["b"] }],
    },
    ['{"a":null}', '{"a":null,"b":null}', '{"b":null}'],
    ["{}"],
  ],
  ["oneOf by type", { oneOf: [{ type: "string" }, { type: "integer" }] }, ['"a"', "1"], ["null"]],
  [
    "oneOf by const",
    SHAPE,
    ['{"kind":"circle","r":1}', '{"kind":"square"}'],
    ['{"kind":"circle"}', '{"kind":"square","r":1}'],
  ],
  [
    "oneOf by what is required",
    { oneOf: [objectOf({ a: { type: "null" } }), objectOf({ b: { type: "null" } })] },
    ['{"a":null}', '{"b":null}'],
    ['{"a":null,"b":null}'],
  ],
  [
    "allOf",
    { allOf: [objectOf({ a: { type: "number" } }), objectOf({ a: { type: "integer" }, b: { type: "null" } }, ["b"])] },
    ['{"a":1,"b":null}'],
    ['{"a":1.5,"b":null}', '{"a":1}'],
  ],
  [
    "allOf of bounds",
    { allOf: [{ type: "integer", minimum: 3 }, { maximum: 5 }, { minimum: 4 }] },
    ["4", "5"],
    ["3", "6"],
  ],
  [
    "$ref with siblings",
    { $ref: "#/$defs/a", maximum: 5, $defs: { a: { type: "integer", minimum: 4 } } },
    ["4", "5"],
    ["3", "6"],
  ],
  [
    "$ref with a JSON pointer",
    {
      type: "array",
      items: { $ref: "#/definitions/a~1b%20c/properties/x" },
      definitions: { "a/b c": { properties: { x: { type: "null" } } } },
    },
    ["[null]"],
    ["[1]"],
  ],
  ["recursion", TREE, ['{"value":1,"children":[{"value":2,"children":[]}]}'], ['{"children":[]}']],
  [
    "recursion to the root",
    { type: "object", properties: { next: { $ref: "#" } } },
    ["{}", '{"next":{"next":{}}}'],
    ['{"next":1}'],
  ],
  ["pattern", { pattern: "^a+(b|c){2}$" }, ['"aabc"', '"abb"'], ['"abcb"', '"bb"', '"xabc"']],
  ["pattern without anchors", { pattern: "b" }, ['"b"', '"abc"', '"é\\nb"'], ['""', '"ac"']],
  [
    "pattern of classes",
    { pattern: "^[^\\d\\s][\\w-]?\\u00e9[^a-z]$" },
    ['"+-é\u{1f600}"', '"aéA"'],
    ['"1é"', '"aéa"', '" é0"'],
  ],
  ["pattern of what JSON escapes", { pattern: '^["\\\\\\n/]+$' }, ['"\\"\\\\\\n/"'], ['"\\/"', '"\n"', '"\\u000a"']],
  ["pattern with alternatives anchored apart", { pattern: "^a|b$" }, ['"ac"', '"cb"'], ['"ca"', '"bc"']],
  ["pattern of an empty text", { pattern: "^(a*)*$" }, ['""', '"aaa"'], ['"b"']],
  [
    "date",
    { type: "string", format: "date" },
    ['"2024-02-29"', '"2023-12-31"'],
    ['"2023-02-29"', '"2024-13-01"', '"2024-04-31"'],
  ],
  ["time", { type: "string", format: "time" }, ['"23:59:59Z"', '"00:00:00.5+02:00"'], ['"24:00:00Z"', '"00:00:00"']],
  ["date-time", { type: "string", format: "date-time" }, ['"2024-02-29T12:00:00Z"'], ['"2024-02-29 12:00:00Z"']],
  ["email", { type: "string", format: "email" }, ['"a.b+c@example.co.uk"'], ['"a@b"', '"@b.de"', '"a..b@c.de"']],
  ["hostname", { type: "string", format: "hostname" }, ['"www.example.com"', '"a"'], ['"-a"', '"a-"', '"a..b"']],
  ["ipv4", { type: "string", format: "ipv4" }, ['"192.168.0.255"'], ['"256.1.1.1"', '"1.1.1"', '"01.1.1.1"']],
  [
    "ipv6",
    { type: "string", format: "ipv6" },
    ['"::"', '"::1"', '"fe80::1:2"', '"1:2:3:4:5:6:7:8"', '"1::"'],
    ['":::"', '"1:2:3"', '"1::2::3"'],
  ],
  [
    "uuid",
    { type: "string", format: "uuid" },
    ['"123e4567-e89b-12d3-a456-426614174000"'],
    ['"123e4567e89b12d3a456426614174000"'],
  ],
  [
    "formats of numbers",
    { type: "integer", format: "int32" },
    ["2147483647", "-2147483648"],
    ["2147483648", "-2147483649"],
  ],
  ["lengths", { type: "string", minLength: 2, maxLength: 3 }, ['"ab"', '"é\u{1f600}\\n"'], ['"a"', '"abcd"']],
  ["minLength alone", { minLength: 1 }, ['"a"', '"abc"'], ['""']],
  [
    "integers in a range",
    { type: "integer", minimum: -12, maximum: 105 },
    ["-12", "-1", "0", "9", "10", "99", "100", "105"],
    ["-13", "106", "1000", "-0", "1.0", "1e1"],
  ],
  ["integers from a fraction", { type: "integer", minimum: 0.5, exclusiveMaximum: 3 }, ["1", "2"], ["0", "3"]],
  ["integers below zero", { type: "integer", exclusiveMaximum: 0 }, ["-1", "-999"], ["0", "1"]],
  [
    "numbers in a range",
    { type: "number", minimum: 0.5, maximum: 12.25 },
    ["0.5", "0.51", "1", "11.999", "12.25", "12.2"],
    ["0.49", "0", "12.26", "12.251", "0x5", "13", "1e1"],
  ],
  [
    "numbers apart from their bounds",
    { type: "number", exclusiveMinimum: 0, exclusiveMaximum: 1 },
    ["0.1", "0.000001", "0.999999"],
    ["0", "0.0", "1", "-0.5"],
  ],
  [
    "numbers around zero",
    { type: "number", minimum: -1.5, maximum: 1 },
    ["-1.5", "-0.1", "0", "1"],
    ["-1.6", "1.1", "-2"],
  ],
  ["numbers from a bound", { type: "number", minimum: 100 }, ["100", "100.5", "123456"], ["99.9", "-100"]],
  ["numbers of multiples of 1", { type: "number", multipleOf: 1 }, ["5"], ["5.5"]],
  ["tiny bounds", { type: "number", minimum: 1e-7, maximum: 2e-7 }, ["0.0000001", "0.0000002"], ["0", "0.0000003"]],
  ["huge bounds", { type: "number", minimum: -1e300, maximum: 1e308 }, ["0", "-123", "123456789"], ["1e300"]],
  [
    "annotations",
    {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      $id: "y",
      title: "t",
      description: "d",
      default: 1,
      examples: [],
      deprecated: true,
      readOnly: true,
      "x-y": 1,
      $comment: "",
      foo: {},
      type: "null",
    },
    ["null"],
    ["1"],
  ],
]

describe("a grammar of a schema", () => {
  it.each(CASES)("%s", async (_, schema, right, wrong) => {
    const validate = ajv.compile(structuredClone(schema) as object)
    const compiled = await compile([jsonSchemaGrammar(schema)])
    for (const text of right) {
      expect(accepts(compiled, 0, text), text).toBe(true)
      expect(validate(JSON.parse(text)), `ajv of ${text}`).toBe(true)
    }
    for (const text of wrong) expect(accepts(compiled, 0, text), text).toBe(false)
    for (let seed = 0; seed < 10; seed++) {
      const text = sample(compiled, 0, random(seed * 7919 + 1))
      if (text === null) continue
      expect(text, "UTF-8").not.toContain("\ufffd")
      expect(validate(JSON.parse(text)), text).toBe(true)
    }
  })

  it("lets any JSON object through", async () => {
    const compiled = await compile([jsonObjectGrammar()])
    expect(accepts(compiled, 0, '{"a": [1, {"b": null}], "\\u00e9": "\u{1f600}"}')).toBe(true)
    for (const text of ["[]", "1", '{"a"}', "{} "]) expect(accepts(compiled, 0, text), text).toBe(false)
  })

  it("lets the tokens come next whose bytes could come one by one", async () => {
    const schemas = [
      TREE,
      { type: "string", pattern: "^(ab|é)+$" },
      { type: "array", items: { type: "number", minimum: 1, maximum: 130 } },
      SHAPE,
    ]
    const compiled = await compile(schemas.map(jsonSchemaGrammar))
    for (const [index] of schemas.entries()) {
      const text = utf8.encode(sample(compiled, index, random(index + 3)) ?? "")
      for (let length = 0; length < Math.min(text.length, 25); length++) {
        const follow = (more: Uint8Array) => {
          const matcher = compiled.open(index)
          try {
            for (const byte of [...text.subarray(0, length), ...more]) {
              if (!allowedIds(matcher).includes(byte)) return null
              matcher.accept(byte)
            }
            return allowedIds(matcher)
          } finally {
            matcher.close()
          }
        }
        const allowed = follow(new Uint8Array(0))!
        for (let id = 256; id < grammarTokenizer.vocab_size; id++) {
          const bytes = grammarTokenizer.bytesOf(id)
          if (bytes.length === 0) continue
          const right = !grammarTokenizer.isSpecial(id) && follow(bytes) !== null
          expect(allowed.includes(id), `${grammarTokenizer.decode([id])} after ${length} bytes`).toBe(right)
        }
      }
    }
  })

  it("of whatever schema lets only what is valid through, or is refused", async () => {
    const small = fc.integer({ min: -3, max: 3 })
    const name = fc.constantFrom("a", "b", "é", "constructor")
    const { schema } = fc.letrec<{ schema: unknown }>((tie) => ({
      schema: fc.oneof(
        { maxDepth: 3, withCrossShrink: true },
        fc.constantFrom<unknown>(true, {}, { type: "string" }, { type: "null" }, { $ref: "#/$defs/d" }, { const: 1 }),
        fc.record(
          {
            type: fc.constantFrom("integer", "number"),
            minimum: fc.oneof(small, fc.double({ noNaN: true, noDefaultInfinity: true })),
            exclusiveMaximum: small,
            maximum: fc.integer(),
          },
          { requiredKeys: ["type"] },
        ),
        fc.record(
          {
            type: fc.constant("string"),
            minLength: fc.nat(3),
            maxLength: fc.nat(4),
            pattern: fc.constantFrom("^a", "b$", "[^é]|\\d{2}"),
          },
          { requiredKeys: ["type"] },
        ),
        fc.record(
          {
            enum: fc.array(fc.jsonValue(), { minLength: 1, maxLength: 3 }),
            type: fc.constantFrom("string", "integer"),
          },
          { requiredKeys: ["enum"] },
        ),
        fc.record(
          {
            type: fc.constant("object"),
            properties: fc.dictionary(name, tie("schema"), { maxKeys: 3, noNullPrototype: true }),
            required: fc.uniqueArray(name, { maxLength: 2 }),
            additionalProperties: fc.oneof(fc.boolean(), tie("schema")),
            minProperties: fc.nat(2),
          },
          { requiredKeys: ["type"] },
        ),
        fc.record({
          items: tie("schema"),
          prefixItems: fc.array(tie("schema"), { minLength: 1, maxLength: 2 }),
          minItems: fc.nat(3),
          maxItems: fc.nat(3),
        }),
        fc.record(
          {
            allOf: fc.array(tie("schema"), { minLength: 1, maxLength: 2 }),
            anyOf: fc.array(tie("schema"), { minLength: 1, maxLength: 3 }),
            oneOf: fc.array(tie("schema"), { minLength: 1, maxLength: 2 }),
            type: fc.constantFrom("object", ["string", "integer"]),
          },
          { requiredKeys: [] },
        ),
      ),
    }))
    const document = fc
      .record({ root: schema, d: schema })
      .map(({ root, d }) => (typeof root === "object" ? { ...root, $defs: { d } } : root))
    let written = 0
    await fc.assert(
      fc.asyncProperty(document, fc.nat(), async (schema, seed) => {
        let grammar: string
        try {
          grammar = jsonSchemaGrammar(schema)
        } catch (error) {
          expect(error).toBeInstanceOf(GrammarError)
          return
        }
        const validate = compiledByAjv(schema)
        if (!validate) return
        const compiled = await grammars.compile([grammar])
        try {
          for (let i = 0; i < 3; i++) {
            const text = sample(compiled, 0, random(seed + i), 150)
            if (text !== null) expect(validate(JSON.parse(text)), `${text} of ${JSON.stringify(schema)}`).toBe(true)
            written++
          }
        } finally {
          compiled.close()
        }
      }),
      { numRuns: 60 },
    )
    expect(written).toBeGreaterThan(30)
  }, 30_000)
})

/** Undefined for definitions that are nothing but themselves, which Ajv inlines without end even where nothing leads to them. */
function compiledByAjv(schema: unknown) {
  try {
    return ajv.compile(schema as object)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}
