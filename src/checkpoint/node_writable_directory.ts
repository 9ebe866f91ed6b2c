import { randomBytes } from "node:crypto"
import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir, stat } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import type { ByteSink, WritableDirectory } from "./byte_sink.js"
import { pathParts } from "./byte_source.js"
import { CheckpointError } from "./errors.js"
import { systemAdvice, systemReason } from "./node_errors.js"

/**
 * A folder on disk, made if it is not there. Each file is written under a temporary name and renamed when whole; only a
 * device or a pipe (`/dev/null`) is written to itself, for renaming would put a file in its place.
 */
export function nodeWritableDirectory(path: string): WritableDirectory {
  return {
    name: path,
    create: (name) =>
      orIoError(name, `the file cannot be written to ${path}`, async () => {
        const target = join(path, ...pathParts(name))
        const there = await stat(target).catch(ignoreMissing)
        if (there && !there.isFile()) return new DeviceSink(name, await open(target, "w"))
        await mkdir(dirname(target), { recursive: true })
        const temporary = `${target}.${randomBytes(4).toString("hex")}.partial`
        return new FileSink(name, target, temporary, await open(temporary, "wx"))
      }),
  }
}

/**
 * Writes a whole folder or nothing: `fill` writes into a temporary folder beside `path`, which takes its name at the end.
 * @throws CheckpointError `exists` when `path` holds something already
 */
export async function writeNodeDirectory(
  path: string,
  fill: (directory: WritableDirectory) => Promise<void>,
): Promise<void> {
  const target = resolve(path)
  await requireEmpty(target, path)
  const temporary = `${target}.${randomBytes(4).toString("hex")}.partial`
  try {
    await orIoError(path, "the folder cannot be made", () => mkdir(temporary, { recursive: true }))
    await fill({ ...nodeWritableDirectory(temporary), name: path })
    await orIoError(path, "the folder cannot be renamed", async () => {
      await rmdir(target).catch(ignoreMissing)
      await rename(temporary, target)
    })
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    throw error
  }
}

async function requireEmpty(target: string, path: string): Promise<void> {
  const entries = await readdir(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return []
    throw new CheckpointError({
      code: "io",
      file: path,
      problem: `not a folder that can be read: ${systemReason(error)}`,
      cause: error,
    })
  })
  if (entries.length === 0) return
  throw new CheckpointError({
    code: "exists",
    file: path,
    problem: "the folder is not empty",
    found: entries.slice(0, 5).join(", "),
    advice: "choose another folder or empty this one",
  })
}

class DeviceSink implements ByteSink {
  constructor(
    readonly name: string,
    protected readonly handle: FileHandle,
  ) {}

  write(offset: number, bytes: Uint8Array): Promise<void> {
    return orIoError(this.name, "writing failed", async () => {
      for (let written = 0; written < bytes.byteLength; ) {
        const rest = bytes.byteLength - written
        written += (await this.handle.write(bytes, written, rest, offset + written)).bytesWritten
      }
    })
  }

  commit(): Promise<void> {
    return orIoError(this.name, "the file cannot be finished", () => this.handle.close())
  }

  abort(): Promise<void> {
    return this.handle.close()
  }
}

class FileSink extends DeviceSink {
  constructor(
    name: string,
    private readonly target: string,
    private readonly temporary: string,
    handle: FileHandle,
  ) {
    super(name, handle)
  }

  override async commit(): Promise<void> {
    await super.commit()
    await orIoError(this.name, "the file cannot be finished", () => rename(this.temporary, this.target))
  }

  override async abort(): Promise<void> {
    await super.abort()
    await rm(this.temporary, { force: true })
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error
}

async function orIoError<T>(file: string, problem: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause
    const reason = `${problem}: ${systemReason(cause)}`
    throw new CheckpointError({ code: "io", file, problem: reason, advice: systemAdvice(cause), cause })
  }
}
