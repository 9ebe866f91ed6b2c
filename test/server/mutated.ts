import fc from "fast-check"

const deep = (depth: number) => JSON.parse(`${'{"type":['.repeat(depth)}${"]}".repeat(depth)}`)

const strange = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    -1,
    0,
    1e308,
    2 ** 53,
    0.5,
    -0,
    "",
    "x",
    "\ud800",
    "\u0000",
    "NaN",
    [],
    {},
    [[]],
    [{}],
    [null],
  ),
  fc.constantFrom<unknown>("<|start|>", "__proto__", "constructor", "a".repeat(3000), deep(2000), Array(300).fill("x")),
  fc.jsonValue({ maxDepth: 2 }),
)
const key = fc.oneof(
  fc.constantFrom("__proto__", "constructor", "toString", "", "type", "function", "custom", "id", "role"),
  fc.string(),
)

/** A value of the same make with something wrong in it. */
export function mutated(value: unknown, depth = 8): fc.Arbitrary<unknown> {
  if (depth === 0) return strange
  if (Array.isArray(value)) {
    const each = value.map((_, i) => mutated(value[i], depth - 1).map((other) => value.with(i, other)))
    return fc.oneof(
      strange,
      strange.map((more) => [...value, more]),
      fc.constant(value.slice(1)),
      ...each,
    )
  }
  if (typeof value !== "object" || value === null) return strange
  const entries = Object.entries(value)
  const put = (name: string, other: unknown) =>
    Object.fromEntries([...entries.filter(([key]) => key !== name), [name, other]])
  const changed = entries.map(([name, each]) => ({
    weight: 2,
    arbitrary: mutated(each, depth - 1).map((other) => put(name, other)),
  }))
  const without = fc
    .constantFrom(...(entries.length > 0 ? entries : [["", null]]))
    .map(([name]) => Object.fromEntries(entries.filter(([key]) => key !== name)))
  const added = fc.tuple(key, strange).map(([name, other]) => put(name, other))
  return fc.oneof(
    { weight: 1, arbitrary: strange },
    { weight: 1, arbitrary: without },
    { weight: 1, arbitrary: added },
    ...changed,
  )
}
