import { type ChildProcess, execFile, spawn } from "node:child_process"
import { rm } from "node:fs/promises"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

/** Where Chromium is, and the environment that it needs: see `tools/chromium.mjs`. */
export interface Chromium {
  readonly path: string
  readonly env: Readonly<Record<string, string>>
}

/** Null where there is none and none can be had. */
export async function findChromium(): Promise<Chromium | null> {
  const tool = fileURLToPath(new URL("../../../tools/chromium.mjs", import.meta.url))
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [tool])
    return JSON.parse(stdout)
  } catch (error) {
    if (process.env.CI) throw error
    return null
  }
}

/** Opens a page and leaves it open until `result` is there. @throws what Chromium said, when it ends before */
export async function withPage<T>({ path, env }: Chromium, url: string, result: Promise<T>): Promise<T> {
  const profile = mkdtempSync(join(tmpdir(), "minerva-chromium-"))
  // Containers have little /dev/shm, and root no sandbox.
  const flags = [
    "--headless",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
  ]
  // It ends when its pipes do, that of a test that was killed too.
  const pipes = ["--remote-debugging-pipe", `--user-data-dir=${profile}`]
  const browser = spawn(path, [...flags, ...pipes, url], {
    stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"],
    env: { ...process.env, ...env },
  })
  const ended = end(browser)
  try {
    const failed = ended.then((said): never => {
      throw new Error(`Chromium ended before the page was done:\n${said}`)
    })
    return await Promise.race([result, failed])
  } finally {
    browser.kill()
    await ended
    await rm(profile, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function end(browser: ChildProcess): Promise<string> {
  let said = ""
  browser.stderr!.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-4000)
  })
  await new Promise<void>((resolve) => browser.on("close", () => resolve()).on("error", () => resolve()))
  return said
}
