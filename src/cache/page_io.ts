import type { Storage } from "../tensor/storage.js"
import type { KvStore } from "./kv_store.js"

/** How bytes get from the pool's memory to the host and back. The engine gives one that knows its backend. */
export interface PageIO {
  /** Bytes `[offset, offset + length)` of each storage, after all steps and copies submitted so far. */
  read(storages: readonly Storage[], offset: number, length: number): Promise<readonly Uint8Array[]>
  /** Writes `bytes[i]` to `storages[i]` at `offset`, before whatever is submitted once this is done. */
  write(storages: readonly Storage[], offset: number, bytes: readonly Uint8Array[]): Promise<void>
}

/** The content of a page, column after column: `page_bytes`. */
export async function readPage({ storages, page_bytes, pool }: KvStore, io: PageIO, page: number): Promise<Uint8Array> {
  const length = page_bytes / storages.length
  const parts = await io.read(storages, pool.sourceOf(page) * length, length)
  const bytes = new Uint8Array(page_bytes)
  for (const [i, part] of parts.entries()) bytes.set(part, i * length)
  return bytes
}

/** The reverse of `readPage`. */
export function writePage(
  { storages, page_bytes }: KvStore,
  io: PageIO,
  page: number,
  bytes: Uint8Array,
): Promise<void> {
  const length = page_bytes / storages.length
  return io.write(
    storages,
    page * length,
    storages.map((_, i) => bytes.subarray(i * length, (i + 1) * length)),
  )
}
