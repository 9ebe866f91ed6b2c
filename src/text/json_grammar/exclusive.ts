import { GrammarError } from "../grammar.js"
import { Assertions, sortedText, typeOf } from "./assertions.js"
import type { Alternative, Branches, JsonType, SchemaDocument, SchemaNode } from "./nodes.js"

/**
 * Makes sure that what is written for one branch of a `oneOf` fits no other: by type, by values, or by properties that are
 * always there.
 *
 * @throws GrammarError if that cannot be told from the schema
 */
export function checkExclusive(document: SchemaDocument, alternatives: readonly Alternative[]): void {
  const ways = alternatives.filter(({ branches }) => branches.size > 0).map((way) => new Way(document, way))
  for (const one of ways) {
    for (const other of ways) {
      for (const [pointer, branch] of one.branches) {
        const another = other.branches.get(pointer)
        if (another === undefined || another === branch || fails(one, other)) continue
        throw new GrammarError(
          pointer.slice(1).replaceAll("/", "."),
          `branches ${Math.min(branch, another)} and ${Math.max(branch, another)} may both fit: tell them apart by type, or by a required property with const, or write anyOf`,
        )
      }
    }
  }
}

/** Whether nothing that is written for `one` fits `other`. */
function fails(one: Way, other: Way): boolean {
  if (areApart(one.written, other.read)) return true
  if (!one.isObject) return false
  // An object has to have what is required, and never has what is neither declared nor additional.
  if (!one.hasMore && other.required.some((name) => !one.names.has(name))) return true
  return one.required.some((name) => areApart(one.property(name), other.property(name)))
}

/** What is compared of an alternative, told once: there are as many comparisons as there are pairs. */
class Way {
  readonly branches: Branches
  readonly written: Domain
  readonly read: Domain
  /** Whether it is an object that is written, and no given value. */
  readonly isObject: boolean
  readonly required: readonly string[]
  readonly names: ReadonlySet<string>
  readonly hasMore: boolean
  private readonly said: Assertions
  private readonly properties = new Map<string, Domain>()

  constructor(
    private readonly document: SchemaDocument,
    { nodes, branches }: Alternative,
  ) {
    const said = new Assertions(document, nodes)
    const { values, types, writtenTypes } = said
    this.said = said
    this.branches = branches
    this.written = ofOne(values, writtenTypes)
    this.read = ofOne(values, types)
    this.isObject = !values && writtenTypes.every((type) => type === "object")
    this.required = [...said.required]
    this.names = new Set(said.names)
    this.hasMore = said.additional !== null
  }

  property(name: string): Domain {
    const known = this.properties.get(name)
    if (known) return known
    const found = domain(this.document, this.said.property(name))
    this.properties.set(name, found)
    return found
  }
}

/** What values can be: of these types, or these alone (as text). */
interface Domain {
  readonly types: ReadonlySet<JsonType> | null
  readonly values: ReadonlySet<string> | null
}

function ofOne(values: readonly unknown[] | null, types: readonly JsonType[] | null): Domain {
  if (!values) return { types: types && new Set(types), values: null }
  return { types: new Set(values.map(typeOf)), values: new Set(values.map((value) => sortedText(value, ""))) }
}

function domain(document: SchemaDocument, nodes: readonly SchemaNode[]): Domain {
  const domains = document.alternatives(nodes).map((way) => {
    const said = new Assertions(document, way.nodes)
    return ofOne(said.values, said.types)
  })
  const types = domains.every((one) => one.types) ? new Set(domains.flatMap((one) => [...one.types!])) : null
  const values = domains.every((one) => one.values) ? new Set(domains.flatMap((one) => [...one.values!])) : null
  return { types, values }
}

function areApart(a: Domain, b: Domain): boolean {
  if (a.values && b.values && ![...a.values].some((value) => b.values!.has(value))) return true
  if (!a.types || !b.types) return false
  const whole = (types: ReadonlySet<JsonType>) => [...types].map((type) => (type === "integer" ? "number" : type))
  // A value of 1 may be a number to one and an integer to the other.
  const others = new Set(whole(b.types))
  return !whole(a.types).some((type) => others.has(type))
}
