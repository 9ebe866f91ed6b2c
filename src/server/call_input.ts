import { asJson } from "../engine/errors.js"
import { isObject } from "../engine/schemas.js"

/** What arguments that are no JSON object stand under (the name is Anthropic's, of fine-grained tool streaming). */
const INVALID = "INVALID_JSON"

/** A call's arguments for protocols that have them as an object. */
export function inputOf(text: string): Readonly<Record<string, unknown>> {
  if (text.trim() === "") return {}
  try {
    const input: unknown = JSON.parse(text)
    if (isObject(input)) return input
  } catch {
    // The model's text is told as it is.
  }
  return { [INVALID]: text }
}

/** The inverse, but for whitespace and the spelling of numbers and strings; undefined where JSON cannot say it. */
export function argumentsOf(input: Readonly<Record<string, unknown>>): string | undefined {
  const { [INVALID]: invalid } = input
  return typeof invalid === "string" && Object.keys(input).length === 1 ? invalid : asJson(input)
}
