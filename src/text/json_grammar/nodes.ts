import { GrammarError } from "../grammar.js"
import { isSchema as isObject, type Schema as Keywords, stepOf } from "../json_schema.js"

/** A schema at its place in a document. */
export interface SchemaNode {
  /** Its JSON pointer: nodes with the same are the same. */
  readonly pointer: string
  /** The place as people write it. */
  readonly path: string
  readonly says: Keywords | boolean
}

export type JsonType = "null" | "boolean" | "object" | "array" | "number" | "integer" | "string"

/** References and `allOf` inside each other, which end at no value, or schemas made to be slow. */
const MAX_NESTED = 64

/** Alternatives of `anyOf` and `oneOf` that hold at once, multiplied out. */
const MAX_ALTERNATIVES = 256

/** Steps of following references and alternatives in a whole schema. */
const MAX_WORK = 50_000

/** Keywords that assert what no grammar here can hold an answer to, and what they may say nevertheless. */
const REFUSED: ReadonlyMap<string, (value: unknown) => boolean> = new Map([
  ...["not", "if", "then", "else", "contains", "minContains", "maxContains", "$dynamicRef", "$recursiveRef"].map(
    (name) => [name, () => false] as const,
  ),
  ...["dependentSchemas", "dependentRequired", "dependencies", "patternProperties"].map(
    (name) => [name, isEmptyObject] as const,
  ),
  ...["unevaluatedProperties", "unevaluatedItems", "propertyNames", "additionalItems"].map(
    (name) => [name, (value: unknown) => value === true] as const,
  ),
  ["uniqueItems", (value) => value === false] as const,
])

const TYPES: readonly unknown[] = ["null", "boolean", "object", "array", "number", "integer", "string"]
const isType = (value: unknown) => TYPES.includes(value)
const isText = (value: unknown) => typeof value === "string"
const isNumber = (value: unknown) => typeof value === "number" && Number.isFinite(value)
const isCount = (value: unknown) => Number.isInteger(value) && (value as number) >= 0
const isList = Array.isArray
const isFlag = (value: unknown) => typeof value === "boolean"
const isSchema = (value: unknown) => typeof value === "boolean" || isObject(value)
function isEmptyObject(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length === 0
}

const filled = (of: (value: unknown) => boolean) => (value: unknown) =>
  isList(value) && value.length > 0 && value.every(of)

/** What the keywords that are read have to look like. */
const SHAPES: Readonly<Record<string, readonly [(value: unknown) => boolean, string]>> = {
  type: [(value) => isType(value) || filled(isType)(value), `one of ${TYPES.join(", ")}, or a list of them`],
  enum: [(value) => isList(value) && value.length > 0, "a list of values"],
  properties: [isObject, "an object of schemas"],
  required: [(value) => isList(value) && value.every(isText), "a list of names"],
  additionalProperties: [isSchema, "a schema, true or false"],
  items: [isSchema, "a schema, true or false; a list of schemas is written as prefixItems"],
  prefixItems: [filled(isSchema), "a list of schemas"],
  anyOf: [filled(isSchema), "a list of schemas"],
  oneOf: [filled(isSchema), "a list of schemas"],
  allOf: [filled(isSchema), "a list of schemas"],
  $ref: [isText, "a text such as #/$defs/name"],
  pattern: [isText, "a regular expression"],
  format: [isText, "a name"],
  minimum: [isNumber, "a number"],
  maximum: [isNumber, "a number"],
  exclusiveMinimum: [isNumber, "a number"],
  exclusiveMaximum: [isNumber, "a number"],
  multipleOf: [(value) => isNumber(value) && (value as number) > 0, "a number above 0"],
  ...Object.fromEntries(
    ["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"].map((name) => [
      name,
      [isCount, "a whole number, 0 or more"] as const,
    ]),
  ),
  nullable: [isFlag, "true or false"],
}

export const under = (path: string, name: string | number) => (path === "" ? String(name) : `${path}.${name}`)

/** Which branch of a `oneOf` an alternative is of: by the pointer of the `oneOf`. */
export type Branches = ReadonlyMap<string, number>

/** Schemas that all hold, without references, `allOf`, `anyOf` and `oneOf`. */
export interface Alternative {
  readonly nodes: readonly SchemaNode[]
  readonly branches: Branches
}

const NO_ALTERNATIVE: readonly Alternative[] = [{ nodes: [], branches: new Map() }]

/** The schemas of a document, each read when it is first needed. */
export class SchemaDocument {
  private readonly nodes = new Map<string, SchemaNode>()
  private work = 0

  constructor(private readonly document: unknown) {}

  get root(): SchemaNode {
    return this.node("", "", this.document)
  }

  child(parent: SchemaNode, ...names: readonly (string | number)[]): SchemaNode {
    let value: unknown = parent.says
    let { pointer, path } = parent
    for (const name of names) {
      value = (value as Keywords)[name]
      pointer += `/${escapedName(String(name))}`
      path = under(path, name)
    }
    return this.node(pointer, path, value)
  }

  private node(pointer: string, path: string, value: unknown): SchemaNode {
    const known = this.nodes.get(pointer)
    if (known) return known
    if (!isObject(value) && typeof value !== "boolean") {
      throw new GrammarError(path, "is no schema: a schema is an object, true or false")
    }
    if (isObject(value)) checkKeywords(value, path)
    const node = { pointer, path, says: value }
    this.nodes.set(pointer, node)
    return node
  }

  /**
   * All ways in which these schemas can hold together.
   *
   * @throws GrammarError for references that lead nowhere or in circles, or too many ways
   */
  alternatives(nodes: readonly SchemaNode[]): readonly Alternative[] {
    return this.all(nodes.map((node) => this.expand(node, [])))
  }

  private expand(node: SchemaNode, open: readonly string[]): readonly Alternative[] {
    if (++this.work > MAX_WORK) throw new GrammarError(node.path, "takes too long to follow: make the schema smaller")
    if (node.says === true) return NO_ALTERNATIVE
    if (node.says === false) return []
    if (open.includes(node.pointer)) throw new GrammarError(node.path, "refers to itself without a value between")
    if (open.length > MAX_NESTED)
      throw new GrammarError(node.path, `is more than ${MAX_NESTED} references or allOf deep`)
    const inside = [...open, node.pointer]
    const says = node.says
    const parts: (readonly Alternative[])[] = [[{ nodes: [node], branches: new Map() }]]
    if (says.$ref !== undefined) parts.push(this.expand(this.target(node), inside))
    for (const i of (says.allOf as unknown[] | undefined)?.keys() ?? []) {
      parts.push(this.expand(this.child(node, "allOf", i), inside))
    }
    for (const keyword of ["anyOf", "oneOf"] as const) {
      const branches = says[keyword] as unknown[] | undefined
      if (!branches) continue
      const pointer = `${node.pointer}/${keyword}`
      const ways = branches.flatMap((_, i) =>
        this.expand(this.child(node, keyword, i), inside).map((way) =>
          keyword === "anyOf" ? way : { nodes: way.nodes, branches: new Map([...way.branches, [pointer, i]]) },
        ),
      )
      parts.push(ways)
    }
    return this.all(parts, node.path)
  }

  private all(parts: readonly (readonly Alternative[])[], path = ""): readonly Alternative[] {
    let found = NO_ALTERNATIVE
    for (const part of parts) {
      if (found.length * part.length > MAX_ALTERNATIVES) {
        throw new GrammarError(path, `has more than ${MAX_ALTERNATIVES} alternatives`)
      }
      found = found.flatMap((a) => part.flatMap((b) => both(a, b)))
    }
    return found
  }

  private target(node: SchemaNode): SchemaNode {
    const reference = (node.says as Keywords).$ref as string
    const path = under(node.path, "$ref")
    if (!/^#(\/|$)/.test(reference)) {
      throw new GrammarError(path, `${shown(reference)} cannot be followed: references are # or like #/$defs/name`)
    }
    let found = this.root
    let value: unknown = this.document
    const names: string[] = []
    for (const part of reference.split("/").slice(1)) {
      const name = stepOf(part)
      if ((!isObject(value) && !isList(value)) || !Object.hasOwn(value, name)) {
        throw new GrammarError(path, `${shown(reference)} is not there: the schema has no such part`)
      }
      if (names.length > 0 && isObject(value) && isText(value.$id)) {
        throw new GrammarError(path, "leads into a part with an $id of its own: leave it out")
      }
      value = (value as Keywords)[name]
      names.push(name)
    }
    if (names.length > 0)
      found = this.node(names.map((name) => `/${escapedName(name)}`).join(""), names.join("."), value)
    return found
  }
}

const escapedName = (name: string) => name.replaceAll("~", "~0").replaceAll("/", "~1")
const shown = (text: string) => (text.length > 100 ? `${JSON.stringify(text.slice(0, 100))}...` : JSON.stringify(text))

function both(a: Alternative, b: Alternative): Alternative[] {
  const branches = new Map(a.branches)
  for (const [pointer, branch] of b.branches) {
    if ((branches.get(pointer) ?? branch) !== branch) return []
    branches.set(pointer, branch)
  }
  return [{ nodes: [...new Set([...a.nodes, ...b.nodes])], branches }]
}

function checkKeywords(says: Keywords, path: string): void {
  for (const [keyword, value] of Object.entries(says)) {
    const harmless = REFUSED.get(keyword)
    if (harmless && !harmless(value)) {
      throw new GrammarError(under(path, keyword), "is not supported here: no answer can be held to it")
    }
    if (!Object.hasOwn(SHAPES, keyword)) continue
    const [fits, shape] = SHAPES[keyword]
    if (!fits(value)) throw new GrammarError(under(path, keyword), `has to be ${shape}`)
  }
  if (isObject(says.properties) && Object.hasOwn(says.properties, "__proto__")) {
    throw new GrammarError(under(path, "properties"), "no property can be called __proto__")
  }
}
