import { ParameterError } from "./errors.js"
import { isObject } from "./schemas.js"

/** The options that a function knows: a record, so that the compiler tells when one is forgotten. */
export type KnownOptions<T> = Readonly<Record<keyof T, true>>

/**
 * What a caller says of a function's options; those that are null are left out.
 *
 * @throws {ParameterError} for what is no object, for an option that is not known (misspelt, or another program's), which would
 * be lost in silence, and for a signal or a callback that is none
 */
export function givenOptions<T extends object>(options: T | null | undefined, known: KnownOptions<T>): T {
  if (options != null && !isObject(options)) throw new ParameterError("options", "an object", options)
  const given = Object.entries(options ?? {}).filter(([, value]) => value != null)
  for (const [name, value] of given) {
    if (!Object.hasOwn(known, name)) throw new ParameterError(name, `one of ${Object.keys(known).join(", ")}`, value)
    if (name === "signal" && !(isObject(value) && typeof value.throwIfAborted === "function")) {
      throw new ParameterError(name, "an AbortSignal", value)
    }
    if (/^on[A-Z]/.test(name) && typeof value !== "function") throw new ParameterError(name, "a function", value)
  }
  return Object.fromEntries(given) as T
}
