import type { Writable } from "node:stream"
import pc from "picocolors"

/** One JSON document on standard output. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
}

export function printLine(text = ""): void {
  process.stdout.write(`${text}\n`)
}

/** Something the user should know that is not the result: on standard error, so that pipes stay clean. */
export function printNote(text: string): void {
  process.stderr.write(`${colors(process.stderr).dim(text)}\n`)
}

/** Colours if `stream` is a terminal (NO_COLOR and FORCE_COLOR are respected), else none. */
export function colors(stream: Writable & { isTTY?: boolean }): ReturnType<typeof pc.createColors> {
  return pc.createColors(Boolean(stream.isTTY) && pc.isColorSupported)
}

/** Writes model output: on a terminal without control characters, which could move the cursor or retitle the window. */
export function writeModelText(stream: Writable & { isTTY?: boolean }, text: string, style = (s: string) => s): void {
  if (text === "") return
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
  stream.write(stream.isTTY ? style(text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "")) : text)
}

/** The most memory this process has held, shared memory of its threads included. */
export function peakRssBytes(): number {
  return process.resourceUsage().maxRSS * 1024
}
