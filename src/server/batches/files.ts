import { RequestError } from "../request_error.js"
import { readContent, writeContent } from "./file_content.js"
import { type FileObject, newId, now } from "./objects.js"
import type { BatchStore } from "./store.js"

export interface FileLimits {
  /** Bytes of a file, at most. */
  readonly max_file_bytes: number
  readonly max_files: number
  /** Bytes of all files together, at most. */
  readonly max_total_bytes: number
}

/** Bytes of a file are also held in memory while it is uploaded. */
export const FILE_LIMITS: FileLimits = { max_file_bytes: 64 << 20, max_files: 10_000, max_total_bytes: 4 * 2 ** 30 }

/** Seconds that the input of a batch is kept unless its owner says otherwise: 30 days, as at OpenAI. */
const KEEP_INPUT = 30 * 24 * 3600

/** The files of this server. */
export class Files {
  constructor(
    private readonly store: BatchStore,
    readonly limits: FileLimits,
  ) {}

  /**
   * @param name what its owner calls it: shown, and never a path
   * @param keep seconds
   * @throws {RequestError} where there are too many files
   */
  async create(
    name: string,
    purpose: FileObject["purpose"],
    bytes: Uint8Array,
    keep = purpose === "batch" ? KEEP_INPUT : undefined,
  ): Promise<FileObject> {
    await this.requireRoom(bytes.byteLength)
    const id = newId("file-")
    await writeContent(this.store, id, [bytes])
    return await this.add(id, { filename: fileName(name), purpose, bytes: bytes.byteLength, keep })
  }

  /** Has a file under an id of one's own; written twice, it is there once. */
  async write(
    id: string,
    filename: string,
    content: AsyncIterable<Uint8Array>,
    keep: number | undefined,
  ): Promise<number> {
    const bytes = await writeContent(this.store, id, content)
    if (bytes > 0) await this.add(id, { filename, purpose: "batch_output", bytes, keep })
    return bytes
  }

  /** @throws {RequestError} `not_found` */
  async get(id: string): Promise<FileObject> {
    const file = await this.store.file(id)
    if (!file || isExpired(file))
      throw new RequestError("not_found", `no file has the id ${id.slice(0, 80)}`, { param: "id" })
    return file
  }

  async list(): Promise<readonly FileObject[]> {
    return (await this.store.files()).filter((file) => !isExpired(file))
  }

  /** See `readContent`. */
  content(id: string, from?: number, to?: number): AsyncGenerator<Uint8Array, void, undefined> {
    return readContent(this.store, id, from, to)
  }

  /** @throws {RequestError} `not_found`, or where a batch still reads it */
  async delete(id: string): Promise<void> {
    await this.get(id)
    const reader = (await this.store.batches("unfinished")).find(({ input_file_id }) => input_file_id === id)
    if (reader) throw new RequestError("invalid_request", `${reader.id} still reads this file: cancel that batch first`)
    await this.store.removeFile(id)
  }

  /** Removes those whose time is over, unless a batch still reads them. */
  async sweep(): Promise<void> {
    const expired = (await this.store.files()).filter(isExpired)
    if (expired.length === 0) return
    const read = new Set((await this.store.batches("unfinished")).map(({ input_file_id }) => input_file_id))
    for (const { id } of expired) if (!read.has(id)) await this.store.removeFile(id)
  }

  private async add(
    id: string,
    { keep, ...file }: Pick<FileObject, "filename" | "purpose" | "bytes"> & { keep: number | undefined },
  ): Promise<FileObject> {
    const created_at = now()
    const expires = keep === undefined ? {} : { expires_at: created_at + keep }
    const object = { id, object: "file", created_at, ...expires, ...file, status: "processed" } as const
    await this.store.addFile(object)
    return object
  }

  private async requireRoom(bytes: number): Promise<void> {
    const { max_files, max_total_bytes } = this.limits
    const files = await this.store.files()
    if (files.length >= max_files) throw full(`there are ${files.length} files here, which is the limit`)
    const total = files.reduce((sum, file) => sum + file.bytes, bytes)
    if (total > max_total_bytes)
      throw full(`with this one the files here would take more than ${max_total_bytes} bytes`)
  }
}

const full = (why: string) =>
  new RequestError("invalid_request", `${why}: delete some of them`, { code: "storage_full" })

const isExpired = ({ expires_at }: FileObject) => expires_at !== undefined && expires_at <= now()

/** The last part of a name, without what could end a line or a header. */
function fileName(name: string): string {
  const last = name
    .split(/[/\\]/)
    .at(-1)!
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}"]/gu, "")
    .trim()
  return last === "" || /^\.+$/.test(last) ? "file" : Array.from(last).slice(0, 255).join("")
}
