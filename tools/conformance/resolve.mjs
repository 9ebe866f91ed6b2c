// Node's resolution with "vitest" replaced by the shim beside this file.
export function resolve(specifier, context, next) {
  if (specifier === "vitest") return { url: new URL("vitest.mjs", import.meta.url).href, shortCircuit: true }
  return next(specifier, context)
}
