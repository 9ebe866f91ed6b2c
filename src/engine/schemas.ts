import * as z from "zod"
import { asJson, ParameterError, valueAt } from "./errors.js"

/**
 * Fields that clients send along and that change nothing: allowed, and ignored. Any other field that we do not know is refused
 * unless it is null, since what it asks for would be lost in silence.
 */
const METADATA = new Set([
  "annotations",
  "cache_control",
  "created",
  "created_at",
  "finish_reason",
  "id",
  "index",
  "logprobs",
  "metadata",
  "model",
  "object",
  "parsed",
  "parsed_arguments",
  "provider_metadata",
  "provider_specific_fields",
  "reasoning_details",
  "status",
  "thinking_blocks",
  "timestamp",
  "usage",
])

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/**
 * Checks a value and gives it its normal form. In these schemas an error's message is what was expected.
 *
 * @throws {ParameterError} with the field's path as the caller spelled it
 */
export function checked<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const extra = issue.code === "unrecognized_keys" ? [issue.keys[0]] : []
  const path = [...issue.path, ...extra]
  const expected = extra.length > 0 ? "no such field: what it asks for would be ignored" : issue.message
  throw new ParameterError(path.map(String).join("."), expected, valueAt(value, path))
}

/** The schema that fits what a value says it is; its errors keep their paths. */
export function chosen<T>(choose: (value: unknown) => z.ZodType<T>): z.ZodType<T> {
  return z.unknown().transform((value, context) => {
    const result = choose(value).safeParse(value)
    if (result.success) return result.data
    context.issues.push(...result.error.issues.map((issue) => ({ ...issue, input: value }) as z.core.$ZodRawIssue))
    return z.NEVER
  })
}

/** Refuses what `chosen` has no schema for, naming the field that should have told. */
export function unfit(field: string, expected: string): z.ZodType<never> {
  return z
    .looseObject({ [field]: z.never({ error: expected }) }, { error: `an object with ${field}` })
    .transform(() => z.NEVER)
}

/** An object with these fields, metadata, and nulls. */
export function fields<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const isIgnored = (key: string, value: unknown) =>
    !(key in shape) && (value === null || value === undefined || METADATA.has(key))
  const withoutIgnored = (value: unknown) =>
    isObject(value) ? Object.fromEntries(Object.entries(value).filter((entry) => !isIgnored(...entry))) : value
  return z.preprocess(withoutIgnored, z.strictObject(shape, { error: "an object" }))
}

export const text = z.string({ error: "a string" })

/** A name that can stand in a prompt's header. */
export function name(longest: number): z.ZodType<string> {
  return z.string({ error: "a name" }).regex(new RegExp(`^[^\\s\\p{Cc}\\p{Cs}]{1,${longest}}$`, "u"), {
    error: `a name of 1 to ${longest} characters without whitespace or control characters`,
  })
}

/** What JSON can say, as text. */
export const json = z.unknown().transform((value, context) => {
  const text = asJson(value)
  if (text !== undefined) return text
  context.addIssue("a string, or a value that JSON can express")
  return z.NEVER
})

/** An object that is one in JSON too, as text. */
export const jsonObject = chosen<string>((value) =>
  isObject(value)
    ? json.refine((text) => text.startsWith("{"), { error: "an object, in JSON too" })
    : z.never({ error: "an object" }),
)
