import type { BatchStore } from "./store.js"
import { othersTurn } from "./turn.js"

/** Bytes of a piece of a file; the last one may be shorter. */
export const PIECE = 256 * 1024

/** Stores bytes as the pieces of a file; between two pieces others have their turn. @returns how many bytes there were */
export async function writeContent(
  store: BatchStore,
  file: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<number> {
  const buffer = new Uint8Array(PIECE)
  let [piece, filled] = [0, 0]
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.byteLength; ) {
      const part = chunk.subarray(at, at + PIECE - filled)
      buffer.set(part, filled)
      at += part.byteLength
      filled += part.byteLength
      if (filled < PIECE) continue
      await store.writePiece(file, piece++, buffer)
      filled = 0
      await othersTurn()
    }
  }
  if (filled > 0) await store.writePiece(file, piece, buffer.subarray(0, filled))
  return piece * PIECE + filled
}

/** The bytes of a file from `from` up to `to`, which is not one of them; between two pieces others have their turn. */
export async function* readContent(
  store: BatchStore,
  file: string,
  from = 0,
  to = Number.POSITIVE_INFINITY,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = from; at < to; ) {
    const start = at % PIECE
    const piece = await store.readPiece(file, Math.floor(at / PIECE))
    const bytes = piece?.subarray(start, Math.min(PIECE, start + to - at))
    if (!bytes || bytes.byteLength === 0) return
    yield bytes
    if (at + bytes.byteLength < to) await othersTurn()
    at += bytes.byteLength
  }
}
