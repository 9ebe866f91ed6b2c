import { CommanderError } from "commander"
import { createProgram } from "./program.js"
import { reportError } from "./ui/errors.js"
import { VERSION } from "./version.js"

/** Carries out a command line, and sets the exit code of the process. */
export async function run(words: readonly string[]): Promise<void> {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // A reader that has seen enough (`minerva ... | head -1`) is no error.
    process.exit(error.code === "EPIPE" ? 0 : reportError(error, "standard output"))
  })
  // Notes that nobody can read any more are no reason to stop.
  process.stderr.on("error", () => {})
  try {
    const program = await createProgram(VERSION, words)
    await program.parseAsync()
  } catch (error) {
    // Commander has printed its line already; its own exit code for a wrong command line is 1.
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
    else process.exitCode = reportError(error)
  }
}
