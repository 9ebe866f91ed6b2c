import { randomUUID } from "node:crypto"
import { createRequire } from "node:module"
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises"
import { hostname } from "node:os"
import { join, resolve } from "node:path"
import type { Database } from "node-sqlite3-wasm"

/** Milliseconds between two signs of life of whoever holds a folder, and after how many without one it is held to be dead. */
const BEAT = 500
const SILENCE = 4000

interface Holder {
  readonly pid: number
  readonly host: string
  readonly id: string
}

/** Another process works on the folder. */
export class FolderInUseError extends Error {
  override readonly name = "FolderInUseError"
  constructor(
    readonly path: string,
    { pid, host }: Holder,
  ) {
    super(
      `${path} is in use by process ${pid} on ${host}: end that one, give this one a data folder of its own, or have both ` +
        "share a queue",
    )
  }
}

/** The database of a folder cannot be opened. */
export class DataFileError extends Error {
  override readonly name = "DataFileError"
  constructor(
    readonly path: string,
    cause: Error,
  ) {
    super(`${path} cannot be used (${cause.message}): move it away, or give another data folder`, { cause })
  }
}

/**
 * A folder with a database that survives the end of its process, whatever ends it. One process holds it at a time: SQLite as it is built
 * here locks with a directory, which a killed process leaves behind, and takes its own lock for another's when it would roll back what
 * that process left half done. So the lock is ours, and the database keeps a log ahead (WAL), which is recovered without looking at locks.
 */
export class DataFolder {
  private beat: NodeJS.Timeout | undefined

  private constructor(
    readonly database: Database,
    private readonly lock: { readonly path: string; readonly id: string } | null,
  ) {}

  /**
   * @param path made unless it is there; null for a database in memory
   * @throws {FolderInUseError} where another process holds it
   * @throws {DataFileError} where its file is no database of ours, or cannot be written
   */
  static async open(path: string | null): Promise<DataFolder> {
    // Loaded when it is needed; its exports are not to be seen by import.
    const { Database } = createRequire(import.meta.url)("node-sqlite3-wasm") as typeof import("node-sqlite3-wasm")
    if (path === null) return new DataFolder(new Database(), null)
    await mkdir(path, { recursive: true, mode: 0o700 })
    const lock = join(resolve(path), "minerva.lock")
    const id = await take(lock)
    const file = join(path, "minerva.sqlite")
    let database: Database | undefined
    try {
      await rm(`${file}.lock`, { recursive: true, force: true })
      database = new Database(file)
      database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
      return new DataFolder(database, { path: lock, id }).alive()
    } catch (cause) {
      database?.close()
      await rm(lock, { force: true })
      throw new DataFileError(file, cause as Error)
    }
  }

  async close(): Promise<void> {
    clearInterval(this.beat)
    if (this.database.isOpen) this.database.close()
    if (this.lock && (await holderOf(this.lock.path))?.id === this.lock.id) await rm(this.lock.path, { force: true })
  }

  /** Shows that this process lives. One that was stopped for so long that another took the folder does not touch it any more. */
  private alive(): this {
    const { path, id } = this.lock!
    this.beat = setInterval(async () => {
      if ((await holderOf(path))?.id === id) await utimes(path, new Date(), new Date()).catch(() => {})
      else await this.close()
    }, BEAT)
    this.beat.unref()
    return this
  }
}

/** Takes a lock, from a dead holder too. @returns what tells this holder from others */
async function take(lock: string): Promise<string> {
  const holder: Holder = { pid: process.pid, host: hostname(), id: randomUUID() }
  for (;;) {
    try {
      await writeFile(lock, JSON.stringify(holder), { flag: "wx", mode: 0o600 })
      return holder.id
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
    }
    const other = await holderOf(lock)
    if (other && (await isAlive(lock, other))) throw new FolderInUseError(lock, other)
    await drop(lock, other, holder.id)
  }
}

/** A process of this machine that is gone is dead. Of others, and of one whose number may have been given anew, the lock tells. */
async function isAlive(lock: string, { pid, host }: Holder): Promise<boolean> {
  if (host === hostname() && pid !== process.pid && !isRunning(pid)) return false
  const beatOf = async () => (await stat(lock).catch(() => null))?.mtimeMs
  const before = await beatOf()
  for (let waited = 0; waited < SILENCE; waited += BEAT) {
    await new Promise((resolve) => setTimeout(resolve, BEAT))
    if ((await beatOf()) !== before) return true
  }
  return false
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

/** Removes the lock of a dead holder, but not that of somebody who was faster. */
async function drop(lock: string, dead: Holder | null, by: string): Promise<void> {
  const aside = `${lock}.${by}`
  await rename(lock, aside).catch(() => {})
  const dropped = await holderOf(aside)
  if (dropped && dropped.id !== dead?.id) await rename(aside, lock)
  else await rm(aside, { force: true })
}

/** Null where there is none, or one whose writing was cut short. */
async function holderOf(lock: string): Promise<Holder | null> {
  try {
    return JSON.parse(await readFile(lock, "utf8")) as Holder
  } catch {
    return null
  }
}
