import { type ByteSource, checkRange, type Directory, pathParts } from "./byte_source.js"
import { CheckpointError } from "./errors.js"

/** Bytes that are in memory already. */
export class MemorySource implements ByteSource {
  constructor(
    readonly name: string,
    private readonly bytes: Uint8Array,
  ) {}

  get size(): number {
    return this.bytes.byteLength
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    checkRange(this, offset, into.byteLength)
    into.set(this.bytes.subarray(offset, offset + into.byteLength))
  }

  async close(): Promise<void> {}
}

/** A folder held in memory: small models embedded in a page, and tests. */
export function memoryDirectory(files: ReadonlyMap<string, Uint8Array>, name = "memory"): Directory {
  return {
    name,
    async open(file) {
      const bytes = files.get(pathParts(file).join("/"))
      if (bytes) return new MemorySource(file, bytes)
      throw new CheckpointError({ code: "file_missing", file, problem: `there is no such file in ${name}` })
    },
    // Of a name with slashes, the outermost folder.
    list: async () => [...new Set([...files.keys()].map((file) => file.replace(/\/.*$/, "/")))],
  }
}
