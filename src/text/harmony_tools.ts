import { asList, asSchema, isOpen, isSchema, RECURSION, References, type Schema, strings } from "./json_schema.js"
import type { Tool } from "./messages.js"

/**
 * The functions a model may call, as harmony writes them in the developer message (openai/harmony, src/encoding.rs,
 * template_tools_section).
 */
export function toolsSection(tools: readonly Tool[]): string {
  const functions = tools.map(({ name, description, parameters }) => {
    const comment = description ? comments("", description) : ""
    const argument = parameters ? `(_: ${typescript(parameters)})` : "()"
    return `${comment}type ${name} = ${argument} => any;\n`
  })
  return ["# Tools\n", "## functions\n", "namespace functions {\n", ...functions, "} // namespace functions"].join("\n")
}

/**
 * A JSON schema in harmony's TypeScript-like form: byte for byte that of openai/harmony (src/encoding.rs,
 * json_schema_to_typescript) in what that knows, except that line breaks stay inside their comments. What it writes as `any`, or
 * as an object or an array of anything, is written out: references, `anyOf`, `allOf`, `const`, any `enum`, maps and tuples.
 */
export function typescript(schema: Schema): string {
  return new TypeWriter(schema).type(schema, "")
}

class TypeWriter {
  private readonly references: References

  constructor(root: Schema) {
    this.references = new References(root)
  }

  type(value: unknown, indent: string): string {
    return this.references.write(value, (schema) => this.resolved(schema, indent))
  }

  private resolved(schema: Schema, indent: string): string {
    const variants = variantsOf(schema)
    if (variants.length > 0) return this.variants(variants, indent)
    if (Array.isArray(schema.type)) {
      const types = strings(schema.type)
      if (types.length > 0) return this.typeList(types, schema, indent)
    }
    const open = isOpen(schema) ? this.open(schema, indent) : undefined
    if (open !== undefined) return open
    switch (schema.type) {
      case "object":
        return this.object(schema, indent)
      case "string": {
        const values = strings(schema.enum)
        return values.length > 0 ? values.map(literal).join(" | ") : "string"
      }
      case "number":
      case "integer":
        return "number"
      case "boolean":
        return "boolean"
      case "array":
        return this.array(schema, indent)
      default:
        return "any"
    }
  }

  /** `oneOf` where no property's name stands before it. */
  private variants(variants: readonly unknown[], indent: string): string {
    const lines = variants.map((variant) => {
      const trailing = trailingComment([description(variant), defaultValue(variant, "quoted")])
      return `\n${indent} | ${this.nullable(variant, `${indent}   `)}${trailing}`
    })
    return lines.join("")
  }

  /** `["string", "null"]`. The official form knows the names alone. */
  private typeList(types: readonly string[], schema: Schema, indent: string): string {
    if (!isOwnTypeList(schema)) return types.map((type) => (type === "integer" ? "number" : type)).join(" | ")
    return types.map((type) => (type === "null" ? type : this.type({ ...schema, type }, indent))).join(" | ")
  }

  /** What the official form has no words for. */
  private open(schema: Schema, indent: string): string | undefined {
    const name = Reflect.get(schema, RECURSION)
    if (name !== undefined) return /^[\w.-]+$/.test(name) ? `any /* ${name} */` : "any"
    const union = asList(schema.anyOf)
    if (union.length > 0) return this.union(union, indent)
    if (schema.const !== undefined) return literal(schema.const)
    if (schema.type === undefined && asList(schema.enum).length > 0) return unique(asList(schema.enum).map(literal))
    if (schema.properties !== undefined || maps(schema).length > 0) return this.object(schema, indent)
    return schema.items !== undefined || schema.prefixItems !== undefined ? this.array(schema, indent) : undefined
  }

  private union(variants: readonly unknown[], indent: string): string {
    const texts = variants.map((variant) =>
      this.references.write(variant, (schema) => {
        const inner = [...asList(schema.oneOf), ...(isOpen(schema) ? asList(schema.anyOf) : [])]
        if (inner.length > 0) return this.union(inner, indent)
        if (schema.const !== undefined) return literal(schema.const)
        return schema.type === "null" ? "null" : this.nullable(schema, indent)
      }),
    )
    return unique(texts)
  }

  private array(schema: Schema, indent: string): string {
    const { items, prefixItems } = schema
    const tuple = asList(prefixItems).length > 0 ? asList(prefixItems) : asList(items)
    if (tuple.length > 0) {
      const rest = isSchema(items) ? [`...${this.element(items, indent)}[]`] : []
      return `[${[...tuple.map((item) => this.type(item, indent)), ...rest].join(", ")}]`
    }
    return items === undefined ? "Array<any>" : `${this.element(items, indent)}[]`
  }

  /** An array's element. The official form has no parentheses around the unions that it knows. */
  private element(value: unknown, indent: string): string {
    return this.references.write(value, (schema) => {
      const text = this.type(schema, indent)
      return isOwnUnion(schema) ? `(${text})` : text
    })
  }

  private object(schema: Schema, indent: string): string {
    const required = strings(schema.required)
    const properties = Object.entries(asSchema(schema.properties)).map(([name, value]) =>
      this.references.write(value, (property) => {
        const key = `${indent}${propertyName(name)}${required.includes(name) ? "" : "?"}`
        return `${propertyComments(property, indent)}${key}:${this.property(property, indent)}`
      }),
    )
    const others = unique(maps(schema).map((value) => this.type(value, `${indent}    `)))
    const map = others && `${indent}[key: string]: ${others},\n`
    const head = description(schema)
    return `${head === undefined ? "" : lineComments(indent, head)}{\n${properties.join("")}${map}${indent}}`
  }

  private property(property: Schema, indent: string): string {
    const variants = variantsOf(property)
    if (variants.length === 0) {
      const value = defaultValue(property, "bare enums")
      return ` ${this.nullable(property, `${indent}    `)},${value === undefined ? "" : ` // ${value}`}\n`
    }
    const own = description(property)
    const hasOwnLine = own !== undefined && own !== description(variants[0])
    const lines = variants.map((variant, i) => {
      const text = description(variant)
      const shown = (i === 0 && hasOwnLine) || text === own ? undefined : text
      const trailing = trailingComment([shown, defaultValue(variant, "bare enums")])
      return `${indent} | ${this.nullable(variant, `${indent}   `)}${trailing}\n`
    })
    return `\n${lines.join("")}${indent},\n`
  }

  private nullable(value: unknown, indent: string): string {
    const type = this.type(value, indent)
    return asSchema(value).nullable === true && !type.includes("null") ? `${type} | null` : type
  }
}

/** The variants that get a line each: those of `oneOf`, and of an `anyOf` that says something about them. */
function variantsOf(schema: Schema): readonly unknown[] {
  const oneOf = asList(schema.oneOf)
  const anyOf = asList(schema.anyOf)
  if (oneOf.length > 0 || !isOpen(schema) || anyOf.length === 0) return oneOf
  const isCommented = anyOf.some(
    (variant) => description(variant) !== undefined || asSchema(variant).default !== undefined,
  )
  // The official form has no null among variants.
  return isCommented ? anyOf.map((variant) => (asSchema(variant).type === "null" ? { const: null } : variant)) : []
}

/** Schemas of the values under names that `properties` does not list. */
function maps(schema: Schema): Schema[] {
  return [...Object.values(asSchema(schema.patternProperties)), schema.additionalProperties].filter(
    (value): value is Schema => isSchema(value) && Object.keys(value).length > 0,
  )
}

function isOwnTypeList({ type, properties, additionalProperties, items, prefixItems }: Schema): boolean {
  const types = asList(type)
  const isObject = types.includes("object") && (isSchema(properties) || isSchema(additionalProperties))
  return isObject || (types.includes("array") && (items !== undefined || prefixItems !== undefined))
}

function isOwnUnion(schema: Schema): boolean {
  if (variantsOf(schema).length > 0) return false
  if (Array.isArray(schema.type)) return isOwnTypeList(schema)
  const values = asList(schema.enum)
  return isOpen(schema) && (asList(schema.anyOf).length > 1 || (schema.type === undefined && values.length > 1))
}

const LINE_BREAK = /\r\n|[\n\r\u2028\u2029]/

/** Comment lines, one for each of a text; none for an empty text. */
function comments(indent: string, text: string): string {
  const lines = text.split(LINE_BREAK)
  if (lines.at(-1) === "") lines.pop()
  return lines.map((line) => `${indent}// ${line}\n`).join("")
}

/** As `comments`, but an empty text has its line too. */
function lineComments(indent: string, text: string): string {
  return comments(indent, text) || `${indent}// \n`
}

function trailingComment(parts: readonly (string | undefined)[]): string {
  const texts = parts.filter((part) => part !== undefined)
  return texts.length > 0 ? ` // ${texts.map((text) => text.split(LINE_BREAK).join(" ")).join(" ")}` : ""
}

function propertyComments(property: Schema, indent: string): string {
  const { title, examples } = property
  const head = typeof title === "string" ? `${lineComments(indent, title)}${indent}//\n` : ""
  const text = property.oneOf === undefined && variantsOf(property).length === 0 ? description(property) : undefined
  const lines = strings(examples).map((example) => `${indent}// - ${literal(example)}\n`)
  const heading = asList(examples).length > 0 ? `${indent}// Examples:\n` : ""
  const own = text === undefined ? "" : lineComments(indent, text)
  return `${head}${own}${heading}${lines.join("")}${variantsComments(property, indent)}`
}

/** A union's own description, unless its first variant says the same, and its default stand above it. */
function variantsComments(property: Schema, indent: string): string {
  const [first] = variantsOf(property)
  if (first === undefined) return ""
  const text = description(property)
  const own = text !== undefined && text !== description(first) ? lineComments(indent, text) : ""
  const value = defaultValue(property, "bare enums")
  return `${own}${value === undefined ? "" : `${indent}// ${value}\n`}`
}

function description(schema: unknown): string | undefined {
  const text = asSchema(schema).description
  return typeof text === "string" ? text : undefined
}

/** Strings are quoted, those of an enum not: the official form, which quotes them as JSON only in a bare union. */
function defaultValue(schema: unknown, form: "quoted" | "bare enums"): string | undefined {
  const { default: value, enum: values } = asSchema(schema)
  if (value === undefined) return undefined
  if (typeof value !== "string") return `default: ${JSON.stringify(value)}`
  const isEnum = asList(values).length > 0
  if (!isEnum) return `default: ${literal(value)}`
  return `default: ${form === "quoted" ? JSON.stringify(value) : onOneLine(value)}`
}

/** A value as TypeScript has it. Quotes in strings stay as they are: the official form. */
function literal(value: unknown): string {
  return typeof value === "string" ? `"${onOneLine(value)}"` : JSON.stringify(value)
}

/** The official form has names as they are. */
function propertyName(name: string): string {
  return name === "" || LINE_BREAK.test(name) ? literal(name) : name
}

/** With line breaks escaped as in JSON. */
function onOneLine(text: string): string {
  const escapes: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\u2028": "\\u2028", "\u2029": "\\u2029" }
  return text.replace(/[\n\r\u2028\u2029]/g, (character) => escapes[character])
}

function unique(texts: readonly string[]): string {
  return [...new Set(texts)].join(" | ")
}
