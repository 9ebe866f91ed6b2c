import type { PageIO } from "../cache/page_io.js"

/** Pages of storages that a backend holds. */
export const PAGE_IO: PageIO = {
  read: (storages, offset, length) =>
    Promise.all(
      storages.map(async (storage) => {
        const bytes = new Uint8Array(length)
        await storage.read(offset, bytes)
        return bytes
      }),
    ),
  write: async (storages, offset, bytes) => {
    for (const [i, storage] of storages.entries()) storage.write(offset, bytes[i])
  },
}
