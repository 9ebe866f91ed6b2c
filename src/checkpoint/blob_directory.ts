import { type ByteSource, checkRange, type Directory, drainInto, pathParts } from "./byte_source.js"
import { CheckpointError } from "./errors.js"

/** Files that a user picked or dropped in a browser, by their own names, whatever folder they were in. */
export function blobDirectory(files: Iterable<File>, name = "the chosen files"): Directory {
  const byName = new Map([...files].map((file) => [file.name, file]))
  const advice = "choose all files of the model's folder"
  return {
    name,
    advice,
    async open(file) {
      const blob = byName.get(pathParts(file).join("/"))
      if (blob) return new BlobSource(file, blob)
      throw new CheckpointError({
        code: "file_missing",
        file,
        problem: `there is no such file among ${name}`,
        found: [...byName.keys()].slice(0, 10).join(", ") || "none",
        advice,
      })
    },
    list: async () => [...byName.keys()],
  }
}

class BlobSource implements ByteSource {
  constructor(
    readonly name: string,
    private readonly blob: Blob,
  ) {}

  get size(): number {
    return this.blob.size
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    checkRange(this, offset, into.byteLength)
    await drainInto(this.blob.slice(offset, offset + into.byteLength).stream(), into, this.name, offset)
  }

  async close(): Promise<void> {}
}
