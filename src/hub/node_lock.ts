import { randomUUID } from "node:crypto"
import { mkdir, open, readFile, rm, stat, utimes } from "node:fs/promises"
import { hostname } from "node:os"
import { dirname, join } from "node:path"
import { HubError } from "./hub_error.js"

/** How often a lock is touched, and after how long it counts as left behind, in milliseconds. */
const BEAT = 5_000
const STALE = 60_000

interface Holder {
  readonly id: string
  readonly pid: number
  readonly host: string
}

/**
 * Runs `use` while no other process changes a repository of the cache. What a process that died has left behind is taken over: one
 * of this machine at once, another's when it has been silent for a minute.
 *
 * @param folder the repository's folder in the cache: the lock lies beside it, in `.locks`, as huggingface_hub's do
 * @param use gets a signal that is aborted should the lock be lost
 * @throws HubError `in_use`
 */
export async function withLock<T>(folder: string, name: string, use: (lost: AbortSignal) => Promise<T>): Promise<T> {
  const path = join(dirname(folder), ".locks", name, "minerva.lock")
  await mkdir(dirname(path), { recursive: true })
  const id = randomUUID()
  while (!(await created(path, { id, pid: process.pid, host: hostname() }))) {
    if (await isHeld(path)) throw inUse(name, path, (await holderOf(path))?.pid)
    await rm(path, { force: true })
  }
  const lost = new AbortController()
  const isOurs = async () => (await holderOf(path))?.id === id
  const beat = setInterval(async () => {
    if (!(await isOurs())) return lost.abort(inUse(name, path))
    await utimes(path, new Date(), new Date()).catch(() => {})
  }, BEAT)
  beat.unref()
  try {
    return await use(lost.signal)
  } finally {
    clearInterval(beat)
    if (await isOurs()) await rm(path, { force: true })
  }
}

async function created(path: string, holder: Holder): Promise<boolean> {
  try {
    const handle = await open(path, "wx")
    await handle.writeFile(JSON.stringify(holder)).finally(() => handle.close())
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false
    throw error
  }
}

async function isHeld(path: string): Promise<boolean> {
  const there = await stat(path).catch(() => undefined)
  if (there === undefined || Date.now() - there.mtimeMs > STALE) return false
  const holder = await holderOf(path)
  // Without a holder it is being written right now.
  return holder === undefined || holder.host !== hostname() || isAlive(holder.pid)
}

async function holderOf(path: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Holder
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Somebody else's.
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

function inUse(name: string, path: string, pid?: number): HubError {
  const who = pid === undefined ? "another process" : `another process (${pid})`
  const advice = `wait until it is done; if there is none, remove ${path}`
  return new HubError({ code: "in_use", problem: `${name} is being pulled or removed by ${who}`, advice })
}
