import * as z from "zod"
import { parseBytes } from "../tensor/bytes.js"

// A setting comes as text, from a flag or the environment, or as JSON, from a file: each kind takes both. An issue's message is what
// was expected.

export const words = parsed("text", (value) => (typeof value === "string" && value !== "" ? value : undefined))

export const list = parsed("a list of texts", (value) => {
  const items = typeof value === "string" ? value.split(",").map((item) => item.trim()) : value
  return Array.isArray(items) && items.every((item): item is string => typeof item === "string" && item !== "")
    ? items
    : undefined
})

/** What can be sent in a header as it is. */
export const keys = list.refine((all) => all.every((key) => /^[\x21-\x7e]+$/.test(key)), {
  error: "a list of keys, of ASCII characters without spaces",
})

export const onOff = parsed("true or false", (value) => ON_OFF.get(String(value)))

const ON_OFF = new Map([
  ["true", true],
  ["1", true],
  ["false", false],
  ["0", false],
])

export const bytes = parsed("a size such as 16GB, 512MiB or bytes", (value) => parseBytes(String(value)))

/** As seconds. */
export const duration = parsed("a time such as 30, 30s, 5m or 1h", (value) => {
  const [, digits, unit = "s"] = /^(\d+(?:\.\d+)?)(s|m|h)?$/.exec(String(value).trim()) ?? []
  const seconds = Number(digits) * { s: 1, m: 60, h: 3600 }[unit as "s" | "m" | "h"]
  return seconds <= LONGEST ? seconds : undefined
})

/** What a timer of JavaScript can wait. */
const LONGEST = 2_147_483

export function whole(min: number, max = Number.MAX_SAFE_INTEGER) {
  const range = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `from ${min} to ${max}`
  return parsed(`a whole number, ${range}`, (value) => {
    const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value
    return typeof number === "number" && Number.isSafeInteger(number) && number >= min && number <= max
      ? number
      : undefined
  })
}

export function oneOf<const T extends string | number>(...choices: readonly T[]) {
  const expected = `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`
  return parsed(expected, (value) => choices.find((choice) => String(choice) === String(value)))
}

function parsed<T>(expected: string, parse: (value: unknown) => T | undefined) {
  return z.unknown().transform((value, context): T => {
    const result = parse(value)
    if (result !== undefined) return result
    context.addIssue(expected)
    return z.NEVER
  })
}
