import { systemReason } from "../../checkpoint/node_errors.js"
import { colors } from "./output.js"

/** The command line itself is wrong: exit code 2, as commander's own usage errors. */
export class UsageError extends Error {
  override readonly name = "UsageError"
}

/**
 * Prints one line (and the stack with MINERVA_DEBUG=1) and returns the exit code.
 *
 * @param where what an error of the operating system is about, if it does not name a path itself
 */
export function reportError(error: unknown, where?: string): number {
  const message = messageOf(error, where).replace(/\s*\n\s*/g, " ")
  process.stderr.write(`${colors(process.stderr).red("error:")} ${message}\n`)
  if (process.env.MINERVA_DEBUG === "1" && error instanceof Error && error.stack) {
    process.stderr.write(`${error.stack}\n`)
    if (error.cause) process.stderr.write(`caused by: ${String(error.cause)}\n`)
  }
  return error instanceof UsageError ? 2 : 1
}

function messageOf(error: unknown, where: string | undefined): string {
  if (!(error instanceof Error)) return String(error)
  const { syscall, path = where } = error as NodeJS.ErrnoException
  // What Node itself says: "ENOENT: no such file or directory, open 'x'".
  if (syscall !== undefined && path !== undefined) return `${path}: ${systemReason(error)}`
  return error.message || error.name
}
