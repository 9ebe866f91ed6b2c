import { fstatSync } from "node:fs"
import { UsageError } from "./errors.js"
import { printNote } from "./output.js"

/** How long to wait for the first byte beside a prompt or an example: a pipe may stay open and never say anything. */
const PATIENCE_MS = 5000

/** Once the model is loaded, for bytes that are here already but were not yet taken in. */
const GRACE_MS = 250

/**
 * All of standard input as text, without the last line break.
 *
 * @param giveUp resolves when waiting for the first byte is to end; never by default
 * @returns undefined when nothing came until then, or nothing is attached
 */
export async function readStdin(giveUp?: Promise<void>): Promise<string | undefined> {
  const chunks: Buffer[] = []
  void giveUp?.then(() => {
    if (chunks.length === 0) process.stdin.destroy()
  })
  try {
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  } catch (error) {
    // Destroyed before anything came, or nothing is attached at all.
    if (chunks.length > 0) throw error
    return undefined
  }
  return textOf(Buffer.concat(chunks), "standard input").replace(/\r?\n$/, "")
}

/**
 * @param where what the bytes are of
 * @throws UsageError for what is no text, or text of another encoding: a model would be asked about something else
 */
export function textOf(bytes: Uint8Array, where: string): string {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes)
    if (!text.includes("\0")) return text
  } catch {}
  throw new UsageError(`${where} is not text in UTF-8: convert it, for example with iconv -t utf-8`)
}

/**
 * Runs `use` while standard input is being read, unless that is a terminal. `piped` gives what came: all of it once there is a
 * first byte; undefined when none comes within five seconds of the start, or until `piped` is called if that is later.
 */
export async function withPipedInput<T>(use: (piped: () => Promise<string | undefined>) => Promise<T>): Promise<T> {
  if (process.stdin.isTTY) return use(async () => "")
  const start = performance.now()
  let giveUp = () => {}
  const text = readStdin(new Promise((resolve) => (giveUp = resolve)))
  // Thrown where it is asked for.
  text.catch(() => {})
  try {
    return await use(async () => {
      const left = Math.max(PATIENCE_MS - (performance.now() - start), GRACE_MS)
      const timer = canStayIdle() ? setTimeout(giveUp, left) : undefined
      return text.finally(() => clearTimeout(timer))
    })
  } finally {
    // Else a pipe that stays open would keep the process alive.
    process.stdin.destroy()
  }
}

/**
 * The prompt with what is piped in: `cat notes.txt | minerva generate "Summarise this"` is the argument, an empty line and the
 * notes.
 */
export function joinPrompt(prompt: string, piped: string | undefined): string {
  if (piped === undefined) printNote("(nothing came on standard input; < /dev/null saves the wait for it)")
  return [prompt, piped ?? ""].filter((text) => text.trim() !== "").join("\n\n")
}

function canStayIdle(): boolean {
  try {
    return !fstatSync(0).isFile()
  } catch {
    return true
  }
}
