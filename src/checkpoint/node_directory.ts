import { type FileHandle, lstat, open, readdir, stat } from "node:fs/promises"
import { join } from "node:path"
import { type ByteSource, checkRange, type Directory, pathParts, readInPieces, truncated } from "./byte_source.js"
import { CheckpointError } from "./errors.js"
import { systemAdvice, systemReason } from "./node_errors.js"
import { repositoryOf } from "./node_hub.js"

// Enough for the disk's queue to stay busy: libuv runs four file operations at a time.
const READS = { chunk: 8 << 20, inFlight: 4 }

/** A folder on disk. Symbolic links are followed, as the Hugging Face cache needs. */
export function nodeDirectory(path: string): Directory {
  const repository = repositoryOf(path)
  const advice = repository && `run minerva pull ${repository} (again), which fetches what is missing`
  return { name: path, advice, open: (name) => openFile(path, name, advice), list: () => listFolder(path) }
}

async function openFile(folder: string, name: string, advice: string | undefined): Promise<ByteSource> {
  const path = join(folder, ...pathParts(name))
  try {
    // Asked before opening, for opening a named pipe would wait forever.
    const { size } = await regularFile(path, name)
    return new FileSource(name, size, await open(path, "r"))
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause
    if (isNotFound(cause)) throw await notFound(folder, name, path, advice, cause)
    const problem = `the file cannot be opened: ${systemReason(cause)}`
    throw new CheckpointError({ code: "io", file: name, problem, advice: systemAdvice(cause), cause })
  }
}

function isNotFound(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === "ENOENT" || code === "ENOTDIR"
}

async function notFound(
  folder: string,
  name: string,
  path: string,
  advice: string | undefined,
  cause: unknown,
): Promise<CheckpointError> {
  const isThere = async (look: Promise<unknown>) => look.then(() => true).catch(() => false)
  const problem = (await isThere(lstat(path)))
    ? "the file is a link to one that is not there: its download was not finished"
    : (await isThere(readdir(folder)))
      ? `there is no such file in ${folder}`
      : `there is no folder ${folder}`
  const otherwise = "check the folder's name, or download the checkpoint again"
  return new CheckpointError({ code: "file_missing", file: name, problem, advice: advice ?? otherwise, cause })
}

async function listFolder(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true })
    return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
  } catch (cause) {
    const problem = `the folder cannot be read: ${systemReason(cause)}`
    const code = isNotFound(cause) ? "file_missing" : "io"
    throw new CheckpointError({ code, file: path, problem, advice: systemAdvice(cause), cause })
  }
}

async function regularFile(path: string, name: string): Promise<{ size: number }> {
  const stats = await stat(path)
  if (stats.isFile()) return stats
  const found = stats.isDirectory() ? "a folder" : "a device or pipe"
  throw new CheckpointError({ code: "io", file: name, expected: "a regular file", found })
}

class FileSource implements ByteSource {
  constructor(
    readonly name: string,
    readonly size: number,
    private readonly handle: FileHandle,
  ) {}

  async read(offset: number, into: Uint8Array): Promise<void> {
    checkRange(this, offset, into.byteLength)
    await readInPieces(into, READS, async (start, piece) => {
      let filled = 0
      while (filled < piece.byteLength) {
        const position = offset + start + filled
        const { bytesRead } = await this.readSome(piece, filled, position)
        if (bytesRead === 0) throw truncated(this.name, position, piece.byteLength - filled)
        filled += bytesRead
      }
    })
  }

  private async readSome(piece: Uint8Array, filled: number, position: number): Promise<{ bytesRead: number }> {
    try {
      return await this.handle.read(piece, filled, piece.byteLength - filled, position)
    } catch (cause) {
      const problem = `reading failed at byte ${position}: ${systemReason(cause)}`
      throw new CheckpointError({ code: "io", file: this.name, problem, cause })
    }
  }

  close(): Promise<void> {
    return this.handle.close()
  }
}
