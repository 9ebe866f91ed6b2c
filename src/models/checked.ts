import type { z } from "zod"
import { CheckpointError, quote } from "../checkpoint/errors.js"

/**
 * A value from one of a checkpoint's JSON files, held against a schema.
 *
 * @param field where the value stands in the file, when it is not the whole
 * @throws CheckpointError `bad_config`, naming the file, the field and what was found
 */
export function checked<T extends z.ZodType>(schema: T, value: unknown, file: string, field?: string): z.output<T> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const { path, message } = parsed.error.issues[0]
  const at = path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], value)
  throw badConfig(file, [field, ...path].filter((part) => part !== undefined).join("."), message, undefined, show(at))
}

/** @param field empty for the file as a whole */
export function badConfig(file: string, field: string, problem: string, expected?: string, found?: string) {
  return new CheckpointError({ code: "bad_config", file, field: field || undefined, problem, expected, found })
}

/** A value for messages; JSON has no word for NaN and Infinity, which Python writes all the same. */
export function show(value: unknown): string {
  return typeof value === "number" ? String(value) : quote(value)
}
