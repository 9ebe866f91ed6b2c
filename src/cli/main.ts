#!/usr/bin/env node
import { readFileSync } from "node:fs"
import { CommanderError } from "commander"
import { createProgram } from "./program.js"
import { reportError } from "./ui/errors.js"

// A reader that has seen enough (`minerva ... | head -1`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error
  process.exit(0)
})

const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8")
const { version } = JSON.parse(manifest) as { version: string }

try {
  await createProgram(version).parseAsync()
} catch (error) {
  // Commander has printed its line already; its own exit code for a wrong command line is 1.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else process.exitCode = reportError(error)
}
