import { colors } from "./output.js"

/** The command line itself is wrong: exit code 2, as commander's own usage errors. */
export class UsageError extends Error {
  override readonly name = "UsageError"
}

/** Prints one line (and the stack with MINERVA_DEBUG=1) and returns the exit code. */
export function reportError(error: unknown): number {
  const message = error instanceof Error ? error.message || error.name : String(error)
  process.stderr.write(`${colors(process.stderr).red("error:")} ${message.replace(/\s*\n\s*/g, " ")}\n`)
  if (process.env.MINERVA_DEBUG === "1" && error instanceof Error && error.stack) {
    process.stderr.write(`${error.stack}\n`)
    if (error.cause) process.stderr.write(`caused by: ${String(error.cause)}\n`)
  }
  return error instanceof UsageError ? 2 : 1
}
