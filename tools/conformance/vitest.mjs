// What the conformance suite uses of vitest, for where vitest cannot run: other runtimes, machines without node_modules.
import { isDeepStrictEqual } from "node:util"

/** What a test that is skipped throws. */
export class Skip extends Error {}

/** Tests in the order they were declared: `{ path, run }`. `run` takes vitest's test context. */
export const tests = []

const path = []

export function describe(name, declare) {
  path.push(name)
  declare()
  path.pop()
}

export function it(name, run) {
  tests.push({ path: [...path, name], run })
}

const show = (value) => {
  const text = value instanceof Error ? `${value.name}: ${value.message}` : (JSON.stringify(value) ?? String(value))
  return text.length > 200 ? `${text.slice(0, 200)}...` : text
}

const MATCHERS = {
  toBe: (found, expected) => Object.is(found, expected),
  toEqual: (found, expected) => isDeepStrictEqual(found, expected),
  toHaveLength: (found, expected) => found.length === expected,
  toContain: (found, expected) => found.includes(expected),
  toBeUndefined: (found) => found === undefined,
  toBeLessThanOrEqual: (found, expected) => found <= expected,
  toBeGreaterThan: (found, expected) => found > expected,
  toMatch: (found, expected) => (typeof expected === "string" ? found.includes(expected) : expected.test(found)),
}

function thrown(error, expected) {
  if (expected === undefined) return true
  if (typeof expected === "string") return error.message.includes(expected)
  if (expected instanceof RegExp) return expected.test(error.message)
  if (typeof expected === "function") return error instanceof expected
  return error.message === expected.message
}

export function expect(found, what = "expect") {
  const negate = (wanted) =>
    Object.fromEntries(
      Object.entries(MATCHERS).map(([name, holds]) => [
        name,
        (expected) => {
          if (holds(found, expected) === wanted) return
          const not = wanted ? "" : "not "
          throw new Error(`${what}: expected ${show(found)} ${not}${name} ${show(expected)}`)
        },
      ]),
    )
  const rejects = {
    async toThrow(expected) {
      const error = await Promise.resolve(found).then(
        () => null,
        (error) => error,
      )
      if (!error) throw new Error(`${what}: expected a rejection with ${show(expected)}, found none`)
      if (!thrown(error, expected)) throw new Error(`${what}: expected ${show(expected)}, found ${show(error)}`)
    },
  }
  return { ...negate(true), not: negate(false), rejects }
}
