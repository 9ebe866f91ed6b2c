import { createHash, type Hash } from "node:crypto"
import { constants } from "node:fs"
import { type FileHandle, lstat, open, rename, rm, stat } from "node:fs/promises"
import { join } from "node:path"
import { systemAdvice, systemReason } from "../checkpoint/node_errors.js"
import { formatBytes } from "../tensor/bytes.js"
import type { HubClient } from "./hub_client.js"
import { HubError, PassingFailure } from "./hub_error.js"
import { type Persistence, persist } from "./patience.js"
import type { RepositoryFile } from "./repository_files.js"

/** Times that a file is fetched anew because what came is not the file. */
const TRIES = 2

/** Bytes of a file that is hashed again each time it is found in the cache; of larger ones the size is compared. */
const HASHED_AGAIN = 64 << 20

const PIECE = 4 << 20

/** Where a blob is while it is incomplete: huggingface_hub's name, so that either goes on where the other stopped. */
export function partialPath(blobs: string, { etag }: RepositoryFile): string {
  return join(blobs, `${etag}.incomplete`)
}

/** Bytes of a file that are there of an earlier download. */
export async function partialSize(blobs: string, file: RepositoryFile): Promise<number> {
  const there = await stat(partialPath(blobs, file)).catch(() => undefined)
  return there !== undefined && there.size <= file.size ? there.size : 0
}

/** Whether a path holds the file: its size, and of one that is quickly read its hash too. */
export async function holds(path: string, file: RepositoryFile): Promise<boolean> {
  const there = await stat(path).catch(() => undefined)
  if (!there?.isFile() || there.size !== file.size) return false
  if (file.size > HASHED_AGAIN) return true
  const handle = await open(path, "r")
  try {
    return (await hashed(handle, file, file.size)).digest("hex") === file.etag
  } finally {
    await handle.close()
  }
}

/**
 * Brings a file into a folder of blobs under the name of its hash, which it has from the moment it is whole and verified. Goes on
 * with what is there of an earlier try.
 *
 * @param onBytes told of how many more bytes are there; fewer when a file is begun anew
 * @throws HubError `bad_answer` when what comes is not the file, `unreachable`, `no_space`; the signal's reason, and then what came
 * is kept
 */
export async function fetchBlob(
  client: HubClient,
  commit: string,
  file: RepositoryFile,
  blobs: string,
  persistence: Persistence,
  onBytes: (more: number) => void,
): Promise<void> {
  const path = partialPath(blobs, file)
  // A link in its place could lead anywhere.
  if ((await lstat(path).catch(() => undefined))?.isSymbolicLink()) await rm(path)
  const flags = constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0)
  const handle = await open(path, flags, 0o644)
  try {
    const blob = await PartialBlob.open(handle, file, onBytes)
    await persist(
      `fetching ${file.path}`,
      () => blob.advance(client, commit, persistence.signal),
      persistence,
      () => blob.furthest,
    )
    await handle.sync()
  } catch (error) {
    throw storageError(error, path)
  } finally {
    await handle.close()
  }
  await rename(path, join(blobs, file.etag))
}

/** A file of which the first bytes are there, and their hash. */
class PartialBlob {
  /** Bytes that were ever there. */
  furthest: number
  private faults = 0

  private constructor(
    private readonly handle: FileHandle,
    private readonly file: RepositoryFile,
    private readonly onBytes: (more: number) => void,
    private position: number,
    private hash: Hash,
  ) {
    this.furthest = position
  }

  static async open(handle: FileHandle, file: RepositoryFile, onBytes: (more: number) => void): Promise<PartialBlob> {
    const { size } = await handle.stat()
    const start = size <= file.size ? size : 0
    if (start < size) await handle.truncate(0)
    return new PartialBlob(handle, file, onBytes, start, await hashed(handle, file, start))
  }

  /** Fetches what is missing, once, and verifies it. @throws PassingFailure when another try may help */
  async advance(client: HubClient, commit: string, signal: AbortSignal): Promise<void> {
    const { path, size, etag } = this.file
    if (this.position < size) await this.receive(client, commit, signal)
    const digest = this.hash.copy().digest("hex")
    if (digest === etag) return
    await this.startOver(`its hash is ${digest}, expected ${etag}`)
    throw new PassingFailure(`${path} arrived damaged`)
  }

  private async receive(client: HubClient, commit: string, signal: AbortSignal): Promise<void> {
    const { path, size } = this.file
    const { status, headers, chunks } = await client.open(path, commit, this.position, signal)
    if (status === 416) await this.startOver(`the server says that it has fewer than the ${size} bytes listed`)
    if (status === 416) throw new PassingFailure("the server has nothing at this position (416)")
    // What asks for a part may get all of it: what is there already is passed over.
    let toSkip = status === 206 ? 0 : this.position
    if (status === 206) await this.checkRange(headers.get("Content-Range"))
    for await (const chunk of chunks) {
      const fresh = chunk.subarray(Math.min(toSkip, chunk.byteLength))
      toSkip -= chunk.byteLength - fresh.byteLength
      if (this.position + fresh.byteLength > size) {
        await this.startOver(`the server sends more than the ${size} bytes listed`)
        throw new PassingFailure("the server sends too much")
      }
      await this.write(fresh)
    }
    if (this.position < size) throw new PassingFailure("the connection was dropped")
    // Another program may have written to it, too.
    const { size: written } = await this.handle.stat()
    if (written !== size) {
      await this.startOver(`it has ${written} bytes, expected ${size}: another program writes to it`)
      throw new PassingFailure("the file was changed by another program")
    }
  }

  private async write(bytes: Uint8Array): Promise<void> {
    let written = 0
    while (written < bytes.byteLength) {
      const { bytesWritten } = await this.handle.write(
        bytes,
        written,
        bytes.byteLength - written,
        this.position + written,
      )
      written += bytesWritten
    }
    this.hash.update(bytes)
    this.position += bytes.byteLength
    this.furthest = Math.max(this.furthest, this.position)
    this.onBytes(bytes.byteLength)
  }

  /** @throws PassingFailure for a part that is not the one asked for */
  private async checkRange(range: string | null): Promise<void> {
    const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range ?? "") ?? []
    if (Number(start) !== this.position) throw new PassingFailure("the server sends another part than it was asked for")
    if (total === "*" || Number(total) === this.file.size) return
    await this.startOver(`the server says that it has ${total} bytes, expected ${this.file.size}`)
    throw new PassingFailure("the server has a file of another size")
  }

  /** @throws HubError when that was done before */
  private async startOver(problem: string): Promise<void> {
    await this.handle.truncate(0)
    this.onBytes(-this.position)
    this.position = 0
    this.hash = newHash(this.file)
    if (++this.faults < TRIES) return
    const { path } = this.file
    throw new HubError({
      code: "bad_answer",
      problem: `${path}: what the server sends is not the file: ${problem}`,
      advice: "try again later; if it stays so, check HF_ENDPOINT and what stands between you and the Hub",
    })
  }
}

/** As the Hub has it: sha256 of what lies in its large file storage, else git's id of a blob. */
function newHash({ etag, size }: RepositoryFile): Hash {
  return etag.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`)
}

/** The hash of the first `end` bytes. */
async function hashed(handle: FileHandle, file: RepositoryFile, end: number): Promise<Hash> {
  const hash = newHash(file)
  const piece = Buffer.allocUnsafe(Math.min(PIECE, end))
  for (let position = 0; position < end; ) {
    const { bytesRead } = await handle.read(piece, 0, Math.min(piece.byteLength, end - position), position)
    if (bytesRead === 0) break
    hash.update(piece.subarray(0, bytesRead))
    position += bytesRead
  }
  return hash
}

function storageError(error: unknown, path: string): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException
  if (syscall === undefined) return error
  const problem = `${path} cannot be written: ${systemReason(error)}`
  const isFull = code === "ENOSPC" || code === "EDQUOT"
  const advice = systemAdvice(error)
  return new HubError({ code: isFull ? "no_space" : "bad_setting", problem, advice, cause: error })
}

/** @throws HubError `no_space`, with the numbers, when a disk has less room than is needed */
export function checkRoom(folder: string, needed: number, free: number): void {
  if (needed <= free) return
  const problem = `${folder} has ${formatBytes(free)} free, and ${formatBytes(needed)} are still to come`
  const advice = "free some disk space, or set HF_HUB_CACHE to a folder on another disk"
  throw new HubError({ code: "no_space", problem, advice })
}
