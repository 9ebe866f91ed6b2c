import { GrammarError } from "../grammar.js"
import { isSchema as isObject, type Schema as Keywords } from "../json_schema.js"
import { type JsonType, type SchemaDocument, type SchemaNode, under } from "./nodes.js"
import type { Bound } from "./number_range.js"

const ALL_TYPES: readonly JsonType[] = ["object", "array", "string", "number", "boolean", "null"]

/** Types that a schema without `type` is about, by its keywords. */
const ABOUT: Readonly<Record<string, JsonType>> = {
  ...{ properties: "object", required: "object", additionalProperties: "object" },
  ...{ minProperties: "object", maxProperties: "object" },
  ...{ items: "array", prefixItems: "array", minItems: "array", maxItems: "array" },
  ...{ pattern: "string", format: "string", minLength: "string", maxLength: "string" },
  ...{ minimum: "number", maximum: "number", exclusiveMinimum: "number", exclusiveMaximum: "number" },
  ...{ multipleOf: "number" },
}

/** What schemas that all hold say together. */
export class Assertions {
  private readonly says: readonly (readonly [SchemaNode, Keywords])[]

  constructor(
    private readonly document: SchemaDocument,
    nodes: readonly SchemaNode[],
  ) {
    this.says = nodes.map((node) => [node, node.says as Keywords] as const)
  }

  /** Types that a value may have, `null` if the schemas do not say. A number that has to be whole is an integer. */
  get types(): readonly JsonType[] | null {
    let types: readonly JsonType[] | null = null
    for (const [, says] of this.says) {
      if (says.type === undefined) continue
      const own = [says.type].flat() as JsonType[]
      if (says.nullable === true) own.push("null")
      types = types === null ? [...new Set(own)] : intersected(types, own)
    }
    return types
  }

  /** Types of what is written. */
  get writtenTypes(): readonly JsonType[] {
    if (this.types) return this.types.includes("number") ? this.types.filter((type) => type !== "integer") : this.types
    const about = new Set(this.says.flatMap(([, says]) => Object.keys(says).flatMap((name) => aboutOf(name))))
    return about.size > 0 ? [...about] : ALL_TYPES
  }

  /** Values of `enum` and `const` that fit all the rest, `null` if there is neither. */
  get values(): readonly unknown[] | null {
    let values: readonly unknown[] | null = null
    for (const [node, says] of this.says) {
      for (const keyword of ["enum", "const"] as const) {
        if (!Object.hasOwn(says, keyword)) continue
        const own = keyword === "enum" ? (says.enum as unknown[]) : [says.const]
        const texts = new Set(own.map((value) => sortedText(value, under(node.path, keyword))))
        values = values === null ? own : values.filter((value) => texts.has(sortedText(value, node.path)))
      }
    }
    return (
      (values as readonly unknown[] | null)?.filter((value) =>
        this.says.every(([node, says]) => holds(value, says, node.path)),
      ) ?? null
    )
  }

  /** The most or least that any of the schemas asks for, and where. */
  count(keyword: string, pick: "most" | "least"): { readonly value: number; readonly path: string } | null {
    let found: { value: number; path: string } | null = null
    for (const [node, says] of this.says) {
      const value = says[keyword] as number | undefined
      if (value === undefined) continue
      if (!found || (pick === "most" ? value > found.value : value < found.value)) {
        found = { value, path: under(node.path, keyword) }
      }
    }
    return found
  }

  /** All that is said with a keyword, and where. */
  all(keyword: string): { readonly value: unknown; readonly path: string }[] {
    return this.says.flatMap(([node, says]) =>
      says[keyword] === undefined ? [] : [{ value: says[keyword], path: under(node.path, keyword) }],
    )
  }

  get low(): Bound | null {
    return this.bound("minimum", "exclusiveMinimum", (a, b) => a > b)
  }

  get high(): Bound | null {
    return this.bound("maximum", "exclusiveMaximum", (a, b) => a < b)
  }

  private bound(plain: string, exclusive: string, isTighter: (a: number, b: number) => boolean): Bound | null {
    let found: Bound | null = null
    for (const keyword of [plain, exclusive]) {
      for (const { value, path } of this.all(keyword)) {
        const bound = { value: value as number, inclusive: keyword === plain, path }
        if (!found || isTighter(bound.value, found.value) || (bound.value === found.value && !bound.inclusive)) {
          found = bound
        }
      }
    }
    return found
  }

  get required(): ReadonlySet<string> {
    return new Set(this.all("required").flatMap(({ value }) => value as string[]))
  }

  /** Names of properties in the order in which they are declared; required ones that are not declared come last. */
  get names(): readonly string[] {
    const declared = this.all("properties").flatMap(({ value }) => Object.keys(value as Keywords))
    return [...new Set([...declared, ...this.required])]
  }

  /** The schemas that a property has to fit. */
  property(name: string): readonly SchemaNode[] {
    return this.says.flatMap(([node, says]) => {
      if (isObject(says.properties) && Object.hasOwn(says.properties, name)) {
        return [this.document.child(node, "properties", name)]
      }
      return says.additionalProperties === undefined ? [] : [this.document.child(node, "additionalProperties")]
    })
  }

  /** The schemas of properties that are not declared, `null` if there are to be none. */
  get additional(): readonly SchemaNode[] | null {
    const nodes = this.says.flatMap(([node, says]) =>
      says.additionalProperties === undefined ? [] : [this.document.child(node, "additionalProperties")],
    )
    if (nodes.some((node) => node.says === false)) return null
    return nodes.length === 0 && this.all("properties").length > 0 ? null : nodes
  }

  /** How many items have a schema by their place. */
  get prefix(): number {
    return Math.max(0, ...this.all("prefixItems").map(({ value }) => (value as unknown[]).length))
  }

  /** The schemas that an item has to fit. */
  item(at: number): readonly SchemaNode[] {
    return this.says.flatMap(([node, says]) => {
      if (at < ((says.prefixItems as unknown[] | undefined)?.length ?? 0)) {
        return [this.document.child(node, "prefixItems", at)]
      }
      return says.items === undefined ? [] : [this.document.child(node, "items")]
    })
  }
}

const aboutOf = (keyword: string): JsonType[] => (Object.hasOwn(ABOUT, keyword) ? [ABOUT[keyword]] : [])

function intersected(a: readonly JsonType[], b: readonly JsonType[]): JsonType[] {
  const types = a.filter((type) => b.includes(type) || (type === "integer" && b.includes("number")))
  if (a.includes("number") && b.includes("integer")) types.push("integer")
  return [...new Set(types)]
}

export function typeOf(value: unknown): JsonType {
  if (value === null) return "null"
  if (Array.isArray(value)) return "array"
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number"
  return typeof value as JsonType
}

const MAX_DEPTH = 64

/** A value as JSON. */
export function textOf(value: unknown, path: string, depth = 0): string {
  if (depth > MAX_DEPTH) throw new GrammarError(path, `has a value more than ${MAX_DEPTH} deep`)
  if (Array.isArray(value)) return `[${value.map((item) => textOf(item, path, depth + 1)).join(",")}]`
  if (isObject(value)) {
    const members = Object.entries(value).map(([key, of]) => `${JSON.stringify(key)}:${textOf(of, path, depth + 1)}`)
    return `{${members.join(",")}}`
  }
  if (typeof value === "number" && !Number.isFinite(value)) throw new GrammarError(path, "has a number beyond JSON's")
  return JSON.stringify(value) ?? "null"
}

/** The same for equal values. */
export function sortedText(value: unknown, path: string): string {
  const sorted = (value: unknown, depth: number): unknown => {
    if (depth > MAX_DEPTH) throw new GrammarError(path, `has a value more than ${MAX_DEPTH} deep`)
    if (Array.isArray(value)) return value.map((item) => sorted(item, depth + 1))
    if (!isObject(value)) return value
    // As a list of pairs: an object would order its keys, and take __proto__ for something else.
    return {
      pairs: Object.keys(value)
        .sort()
        .map((key) => [key, sorted(value[key], depth + 1)]),
    }
  }
  return textOf(sorted(value, 0), path)
}

/** Whether a value of `enum` or `const` fits what else a schema says about values of its type. */
function holds(value: unknown, says: Keywords, path: string): boolean {
  const type = typeOf(value)
  if (says.type !== undefined) {
    const types = [says.type].flat()
    if (says.nullable === true) types.push("null")
    if (!types.includes(type) && !(type === "integer" && types.includes("number"))) return false
  }
  for (const keyword of Object.keys(says)) {
    if (aboutOf(keyword)[0] !== (type === "integer" ? "number" : type)) continue
    const check = CHECKS[keyword]
    if (!check) throw new GrammarError(under(path, keyword), "cannot be checked beside enum or const: leave one out")
    if (!check(value, says[keyword])) return false
  }
  return true
}

type Check = (value: unknown, said: unknown) => boolean

const numeric =
  (check: (value: number, said: number) => boolean): Check =>
  (value, said) =>
    check(value as number, said as number)

const sized =
  (check: (size: number, said: number) => boolean): Check =>
  (value, said) =>
    check([...(value as Iterable<unknown>)].length, said as number)

const CHECKS: Readonly<Record<string, Check | undefined>> = {
  minimum: numeric((value, said) => value >= said),
  maximum: numeric((value, said) => value <= said),
  exclusiveMinimum: numeric((value, said) => value > said),
  exclusiveMaximum: numeric((value, said) => value < said),
  multipleOf: numeric((value, said) => Number.isInteger(value / said)),
  minLength: sized((size, said) => size >= said),
  maxLength: sized((size, said) => size <= said),
  minItems: sized((size, said) => size >= said),
  maxItems: sized((size, said) => size <= said),
}
