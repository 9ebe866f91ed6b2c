import { type FileHandle, open, stat } from "node:fs/promises"
import { join } from "node:path"
import { type ByteSource, checkRange, type Directory, pathParts, readInPieces, truncated } from "./byte_source.js"
import { CheckpointError } from "./errors.js"

// Enough for the disk's queue to stay busy: libuv runs four file operations at a time.
const READS = { chunk: 8 << 20, inFlight: 4 }

/** A folder on disk. Symbolic links are followed, as the Hugging Face cache needs. */
export function nodeDirectory(path: string): Directory {
  return { name: path, open: (name) => openFile(path, name) }
}

async function openFile(folder: string, name: string): Promise<ByteSource> {
  const path = join(folder, ...pathParts(name))
  try {
    // Asked before opening, for opening a named pipe would wait forever.
    const { size } = await regularFile(path, name)
    return new FileSource(name, size, await open(path, "r"))
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause
    const code = (cause as NodeJS.ErrnoException).code
    const missing = code === "ENOENT" || code === "ENOTDIR"
    throw new CheckpointError({
      code: missing ? "file_missing" : "io",
      file: name,
      problem: missing ? `there is no such file in ${folder}` : `the file cannot be opened (${code})`,
      advice: missing ? "check the folder's name, or download the checkpoint again" : "check the file's permissions",
      cause,
    })
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
      const problem = `reading failed at byte ${position} (${(cause as NodeJS.ErrnoException).code})`
      throw new CheckpointError({ code: "io", file: this.name, problem, cause })
    }
  }

  close(): Promise<void> {
    return this.handle.close()
  }
}
