import type { Tool } from "./messages.js"

type Schema = Readonly<Record<string, unknown>>

const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value)
const asSchema = (value: unknown): Schema => (isSchema(value) ? value : {})
const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
const strings = (value: unknown): string[] => asList(value).filter((item): item is string => typeof item === "string")

/**
 * The functions a model may call, as harmony writes them in the developer message (openai/harmony, src/encoding.rs,
 * template_tools_section).
 */
export function toolsSection(tools: readonly Tool[]): string {
  const functions = tools.map(({ name, description, parameters }) => {
    const comment = description ? comments("", description) : ""
    const argument = parameters ? `(_: ${typescript(parameters, "")})` : "()"
    return `${comment}type ${name} = ${argument} => any;\n`
  })
  return ["# Tools\n", "## functions\n", "namespace functions {\n", ...functions, "} // namespace functions"].join("\n")
}

function comments(indent: string, text: string): string {
  return text
    .split(/\r?\n/)
    .map((line) => `${indent}// ${line}\n`)
    .join("")
}

/** A JSON schema in harmony's TypeScript-like form (openai/harmony, src/encoding.rs, json_schema_to_typescript). */
export function typescript(schema: Schema, indent: string): string {
  const variants = asList(schema.oneOf)
  if (variants.length > 0) {
    const lines = variants.map((variant) => {
      const trailing = [description(variant), defaultValue(variant, "quoted")].filter(Boolean).join(" ")
      return `\n${indent} | ${nullable(variant, `${indent}   `)}${trailing && ` // ${trailing}`}`
    })
    return lines.join("")
  }
  if (Array.isArray(schema.type)) {
    const types = strings(schema.type).map((type) => (type === "integer" ? "number" : type))
    if (types.length > 0) return types.join(" | ")
  }
  switch (schema.type) {
    case "object":
      return objectType(schema, indent)
    case "string": {
      const values = strings(schema.enum)
      return values.length > 0 ? values.map((value) => `"${value}"`).join(" | ") : "string"
    }
    case "number":
    case "integer":
      return "number"
    case "boolean":
      return "boolean"
    case "array":
      return isSchema(schema.items) ? `${typescript(schema.items, indent)}[]` : "Array<any>"
    default:
      return "any"
  }
}

function objectType(schema: Schema, indent: string): string {
  const required = strings(schema.required)
  const properties = Object.entries(asSchema(schema.properties)).map(([name, value]) => {
    const property = asSchema(value)
    const key = `${indent}${name}${required.includes(name) ? "" : "?"}`
    return `${propertyComments(property, indent)}${key}:${propertyType(property, indent)}`
  })
  const head = description(schema)
  return `${head ? `${indent}// ${head}\n` : ""}{\n${properties.join("")}${indent}}`
}

function propertyComments(property: Schema, indent: string): string {
  const title = typeof property.title === "string" ? `${indent}// ${property.title}\n${indent}//\n` : ""
  const text = property.oneOf === undefined ? description(property) : ""
  const examples = strings(property.examples).map((example) => `${indent}// - "${example}"\n`)
  const heading = asList(property.examples).length > 0 ? `${indent}// Examples:\n` : ""
  return `${title}${text && `${indent}// ${text}\n`}${heading}${examples.join("")}${oneOfComments(property, indent)}`
}

/** A union's own description, unless its first variant says the same, and its default stand above it. */
function oneOfComments(property: Schema, indent: string): string {
  const [first] = asList(property.oneOf)
  if (first === undefined) return ""
  const text = description(property)
  const own = text && text !== description(first) ? `${indent}// ${text}\n` : ""
  const value = defaultValue(property, "bare enums")
  return `${own}${value && `${indent}// ${value}\n`}`
}

function propertyType(property: Schema, indent: string): string {
  const variants = asList(property.oneOf)
  if (variants.length === 0) {
    const value = defaultValue(property, "bare enums")
    return ` ${nullable(property, `${indent}    `)},${value && ` // ${value}`}\n`
  }
  const own = description(property)
  const hasOwnLine = own !== "" && own !== description(variants[0])
  const lines = variants.map((variant, i) => {
    const text = description(variant)
    const shown = (i === 0 && hasOwnLine) || text === own ? "" : text
    const trailing = [shown, defaultValue(variant, "bare enums")].filter(Boolean).join(" ")
    return `${indent} | ${nullable(variant, `${indent}   `)}${trailing && ` // ${trailing}`}\n`
  })
  return `\n${lines.join("")}${indent},\n`
}

function nullable(schema: unknown, indent: string): string {
  const type = typescript(asSchema(schema), indent)
  return asSchema(schema).nullable === true && !type.includes("null") ? `${type} | null` : type
}

function description(schema: unknown): string {
  const text = asSchema(schema).description
  return typeof text === "string" ? text : ""
}

/** Strings are quoted, those of an enum not: the official form, which quotes them as JSON only in a bare union. */
function defaultValue(schema: unknown, form: "quoted" | "bare enums"): string {
  const { default: value, enum: values } = asSchema(schema)
  if (value === undefined) return ""
  if (typeof value !== "string") return `default: ${JSON.stringify(value)}`
  const isEnum = asList(values).length > 0
  if (!isEnum) return `default: "${value}"`
  return `default: ${form === "quoted" ? JSON.stringify(value) : value}`
}
