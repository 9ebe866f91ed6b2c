import { type DType, itemSize } from "../tensor/dtype.js"
import { type Shape, sizeOf } from "../tensor/shape.js"
import type { ByteReader } from "../tensor/storage.js"
import type { WritableDirectory } from "./byte_sink.js"
import { forEachLimited } from "./byte_source.js"
import { CheckpointError, quote } from "./errors.js"
import { DTYPES, LENGTH_BYTES, MAX_HEADER_BYTES } from "./safetensors.js"

/** Bytes asked of a tensor at a time (a multiple of every item size), and pieces under way at once. */
const PIECE_BYTES = 8 << 20
const PIECES_AT_ONCE = 4

/** A tensor to be written: what it is, and where its bytes come from, piece by piece and in any order. */
export interface TensorToWrite extends ByteReader {
  readonly name: string
  readonly dtype: DType
  readonly shape: Shape
}

/** The format's own order, most aligned first, which keeps every tensor on a multiple of its item size. */
const ORDER = ["U64", "I64", "F64", "F32", "U32", "I32", "BF16", "F16", "U16", "I16"].concat([
  "F8_E8M0",
  "F8_E4M3",
  "F8_E5M2",
  "I8",
  "U8",
  "BOOL",
])

const NAMES = new Map(Object.entries(DTYPES).map(([name, dtype]) => [dtype, name]))

/**
 * Writes a safetensors file, byte for byte as the `safetensors` package would: tensors by item size and name, the header
 * padded to 8 bytes. It appears under its name only when it is whole.
 *
 * @param onProgress called with the bytes of each piece written
 * @throws CheckpointError `duplicate_name`, `header_too_large`, and what the sink and the tensors' readers throw
 */
export async function writeSafetensors(
  directory: WritableDirectory,
  file: string,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
  onProgress?: (bytes: number) => void,
): Promise<void> {
  const sorted = [...tensors].sort(byAlignmentAndName)
  const { bytes: header, offsets } = makeHeader(sorted, metadata, file)
  const sink = await directory.create(file)
  try {
    await sink.write(0, header)
    await forEachLimited(piecesOf(sorted), PIECES_AT_ONCE, async ({ tensor, start, length }) => {
      const piece = new Uint8Array(length)
      await sorted[tensor].read(start, piece)
      await sink.write(header.length + offsets[tensor] + start, piece)
      onProgress?.(length)
    })
    await sink.commit()
  } catch (error) {
    await sink.abort()
    throw error
  }
}

function byAlignmentAndName(a: TensorToWrite, b: TensorToWrite): number {
  const rank = (tensor: TensorToWrite) => ORDER.indexOf(NAMES.get(tensor.dtype)!)
  return rank(a) - rank(b) || compareBytes(a.name, b.name)
}

/** By code points, as UTF-8 bytes compare. */
function compareBytes(a: string, b: string): number {
  const [left, right] = [[...a], [...b]]
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = left[i].codePointAt(0)! - right[i].codePointAt(0)!
    if (difference !== 0) return difference
  }
  return left.length - right.length
}

function makeHeader(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>>,
  file: string,
): { bytes: Uint8Array; offsets: number[] } {
  const entries: string[] = []
  if (Object.keys(metadata).length > 0) entries.push(`"__metadata__":${JSON.stringify(metadata)}`)
  const seen = new Set(["__metadata__"])
  const offsets: number[] = []
  let at = 0
  for (const { name, dtype, shape } of tensors) {
    if (seen.has(name)) throw new CheckpointError({ code: "duplicate_name", file, tensor: quote(name) })
    seen.add(name)
    const end = at + sizeOf(shape) * itemSize(dtype)
    entries.push(
      `${JSON.stringify(name)}:${JSON.stringify({ dtype: NAMES.get(dtype), shape, data_offsets: [at, end] })}`,
    )
    offsets.push(at)
    at = end
  }
  const text = new TextEncoder().encode(`{${entries.join(",")}}`)
  const length = Math.ceil(text.length / 8) * 8
  if (length > MAX_HEADER_BYTES) {
    const expected = `at most ${MAX_HEADER_BYTES} bytes`
    throw new CheckpointError({ code: "header_too_large", file, expected, found: `${length}` })
  }
  const bytes = new Uint8Array(LENGTH_BYTES + length).fill(0x20)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true)
  bytes.set(text, LENGTH_BYTES)
  return { bytes, offsets }
}

function piecesOf(tensors: readonly TensorToWrite[]): { tensor: number; start: number; length: number }[] {
  return tensors.flatMap(({ dtype, shape }, tensor) => {
    const size = sizeOf(shape) * itemSize(dtype)
    return Array.from({ length: Math.ceil(size / PIECE_BYTES) }, (_, i) => {
      const start = i * PIECE_BYTES
      return { tensor, start, length: Math.min(PIECE_BYTES, size - start) }
    })
  })
}
