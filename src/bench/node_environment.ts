import { execFile } from "node:child_process"
import { readFile } from "node:fs/promises"
import os from "node:os"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

/** Where and with what a measurement was taken. */
export interface Environment {
  readonly cpu: string
  readonly cores: number
  readonly memory_bytes: number
  readonly os: string
  readonly node: string
  readonly version: string
  /** Of the checkout that Minerva runs from, "+" for local changes; null when it is an installed package. */
  readonly commit: string | null
  readonly date: string
}

export async function environment(): Promise<Environment> {
  const root = fileURLToPath(new URL("../../../", import.meta.url))
  const { version } = JSON.parse(await readFile(`${root}package.json`, "utf8")) as { version: string }
  return {
    cpu: os.cpus()[0]?.model.trim() ?? "unknown",
    cores: os.availableParallelism(),
    memory_bytes: os.totalmem(),
    os: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    version,
    commit: await commitOf(root),
    date: new Date().toISOString(),
  }
}

async function commitOf(root: string): Promise<string | null> {
  const git = promisify(execFile)
  try {
    const { stdout } = await git("git", ["-C", root, "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"])
    return stdout.trim()
  } catch {
    // No git, or no checkout: the version says what it is.
    return null
  }
}
