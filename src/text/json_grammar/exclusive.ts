import { GrammarError } from "../grammar.js"
import { Assertions, sortedText, typeOf } from "./assertions.js"
import type { Alternative, JsonType, SchemaDocument, SchemaNode } from "./nodes.js"

/**
 * Makes sure that what is written for one branch of a `oneOf` fits no other: by type, by values, or by properties that are
 * always there.
 *
 * @throws GrammarError if that cannot be told from the schema
 */
export function checkExclusive(document: SchemaDocument, alternatives: readonly Alternative[]): void {
  for (const one of alternatives) {
    for (const other of alternatives) {
      for (const [pointer, branch] of one.branches) {
        const another = other.branches.get(pointer)
        if (another === undefined || another === branch || fails(document, one.nodes, other.nodes)) continue
        throw new GrammarError(
          pointer.slice(1).replaceAll("/", "."),
          `branches ${Math.min(branch, another)} and ${Math.max(branch, another)} may both fit: tell them apart by type, or by a required property with const, or write anyOf`,
        )
      }
    }
  }
}

/** Whether nothing that is written for `one` fits `other`. */
function fails(document: SchemaDocument, one: readonly SchemaNode[], other: readonly SchemaNode[]): boolean {
  const [written, read] = [new Assertions(document, one), new Assertions(document, other)]
  if (areApart(ofOne(written, written.writtenTypes), ofOne(read, read.types))) return true
  if (written.values || written.writtenTypes.some((type) => type !== "object")) return false
  const readTypes = read.types
  if (readTypes && !readTypes.includes("object")) return true
  // An object has to have what is required, and never has what is neither declared nor additional.
  for (const name of read.required) if (!written.names.includes(name) && !written.additional) return true
  return [...written.required].some((name) =>
    areApart(domain(document, written.property(name)), domain(document, read.property(name))),
  )
}

/** What values can be: of these types, or these alone (as text). */
interface Domain {
  readonly types: ReadonlySet<JsonType> | null
  readonly values: ReadonlySet<string> | null
}

function ofOne(said: Assertions, types: readonly JsonType[] | null): Domain {
  const values = said.values
  if (!values) return { types: types && new Set(types), values: null }
  return { types: new Set(values.map(typeOf)), values: new Set(values.map((value) => sortedText(value, ""))) }
}

function domain(document: SchemaDocument, nodes: readonly SchemaNode[]): Domain {
  const domains = document.alternatives(nodes).map((way) => {
    const said = new Assertions(document, way.nodes)
    return ofOne(said, said.types)
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
