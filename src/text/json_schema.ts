export type Schema = Readonly<Record<string, unknown>>

export const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value)
export const asSchema = (value: unknown): Schema => (isSchema(value) ? value : {})
export const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
export const strings = (value: unknown): string[] =>
  asList(value).filter((item): item is string => typeof item === "string")

/** Stands for a definition inside itself; its value is the definition's name. */
export const RECURSION = Symbol("recursion")

/** What all expanded references of a schema may become together, in characters: a few definitions can refer to each other 2^n times. */
const MAX_EXPANSION = 1 << 16

/** Deeper than this a schema is not read. */
const MAX_DEPTH = 128

/** True for a schema whose `type` says nothing yet. */
export function isOpen(schema: Schema): boolean {
  return schema.type === undefined || (schema.type === "object" && schema.properties === undefined)
}

/** Follows the references in a schema (JSON Schema 2020-12 and its forerunners), as long as they lead somewhere new. */
export class References {
  private readonly open = new Set<string>(["#"])
  private left = MAX_EXPANSION
  private depth = 0

  constructor(private readonly root: Schema) {}

  /**
   * Writes a schema with its `$ref`, its `allOf` and an `anyOf` of one merged into it. What stands beside a reference
   * overrides what it refers to. Schemas too deep are empty.
   */
  write(value: unknown, use: (schema: Schema) => string): string {
    if (this.depth === MAX_DEPTH) return use({})
    this.depth++
    const text = this.merged(asSchema(value), use)
    this.depth--
    return text
  }

  private merged(schema: Schema, use: (schema: Schema) => string): string {
    const { $ref, allOf, anyOf, ...rest } = schema
    if (!isOpen(schema)) return use(schema)
    if (typeof $ref === "string") {
      return this.follow($ref, (target) => this.write(joined(target, without(schema, "$ref")), use))
    }
    if (asList(allOf).length > 0) return this.join({}, asList(allOf), without(schema, "allOf"), use)
    const [only, ...others] = asList(anyOf)
    return isSchema(only) && others.length === 0 ? this.write(joined(only, rest), use) : use(schema)
  }

  private follow($ref: string, use: (target: Schema) => string): string {
    const target = pointedAt(this.root, $ref)
    if (target === undefined || this.left <= 0) return use({})
    if (this.open.has($ref)) return use({ [RECURSION]: $ref.split("/").at(-1) } as Schema)
    this.open.add($ref)
    const text = use(target)
    this.open.delete($ref)
    this.left -= text.length
    return text
  }

  /** The members of an `allOf` as one schema; references in them stay open while it is written. */
  private join(before: Schema, members: readonly unknown[], own: Schema, use: (schema: Schema) => string): string {
    const [first, ...rest] = members
    if (members.length === 0) return this.write(joined(before, own), use)
    return this.write(first, (member) => this.join(joined(before, member), rest, own, use))
  }
}

/** Both at once; what is said twice is `b`'s, except properties, which add up. */
function joined(a: Schema, b: Schema): Schema {
  const properties = { ...asSchema(a.properties), ...asSchema(b.properties) }
  const required = [...strings(a.required), ...strings(b.required)]
  const both = { ...a, ...b, ...(required.length > 0 && { required }) }
  return Object.keys(properties).length > 0 ? { ...both, properties } : both
}

function without(schema: Schema, key: string): Schema {
  const { [key]: _, ...rest } = schema
  return rest
}

/** What a reference inside the schema points at (RFC 6901, in a URI fragment). */
function pointedAt(root: Schema, $ref: string): Schema | undefined {
  if (!$ref.startsWith("#")) return undefined
  let value: unknown = root
  for (const part of $ref.slice(1).split("/").slice(1)) {
    const key = stepOf(part)
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined
    value = Reflect.get(value, key)
  }
  return isSchema(value) ? value : undefined
}

/** What a step of a JSON pointer in a fragment names (RFC 6901). */
export function stepOf(part: string): string {
  let text = part
  try {
    text = decodeURIComponent(part)
  } catch {
    // Not encoded after all.
  }
  return text.replaceAll("~1", "/").replaceAll("~0", "~")
}
