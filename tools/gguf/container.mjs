// The GGUF container, version 3: ggml/include/gguf.h of llama.cpp says byte by byte what stands here.

const MAGIC = 0x46554747
const VERSION = 3
const ALIGNMENT = 32

/** Tensor types: their numbers, and how many bytes a block of so many elements takes (ggml/include/ggml.h, ggml-common.h). */
export const TYPES = {
  F32: { code: 0, block: 1, bytes: 4 },
  Q8_0: { code: 8, block: 32, bytes: 34 },
  MXFP4: { code: 39, block: 32, bytes: 17 },
}

const VALUE_TYPES = { uint32: 4, float32: 6, string: 8, strings: 9 }

/** Bytes of a tensor's data. */
export function byteLengthOf({ type, shape }) {
  const { block, bytes } = TYPES[type]
  return (shape.reduce((product, dim) => product * dim, 1) / block) * bytes
}

/**
 * Writes a file, piece by piece: no tensor is held as a whole.
 *
 * @param sink where to: a `ByteSink`
 * @param metadata `[key, "uint32" | "float32" | "string" | "strings", value]` each
 * @param tensors `{ name, type, shape, pieces }` each: the shape with rows first, `pieces()` the data in order
 * @param onProgress bytes of the file written so far, and in all
 */
export async function writeGguf(sink, metadata, tensors, onProgress) {
  const places = placesOf(tensors)
  const header = padded(headerOf(metadata, tensors, places.offsets))
  const total = header.byteLength + places.end
  await sink.write(0, header)
  for (const [i, tensor] of tensors.entries()) {
    const start = header.byteLength + places.offsets[i]
    let at = start
    for await (const piece of tensor.pieces()) {
      await sink.write(at, piece)
      at += piece.byteLength
      onProgress?.(at, total)
    }
    const expected = byteLengthOf(tensor)
    if (at - start !== expected) throw new Error(`${tensor.name} takes ${expected} bytes, found ${at - start}`)
    await sink.write(at, new Uint8Array(aligned(at) - at))
  }
  return { bytes: total }
}

/** Where the data of each tensor begins, behind the header. */
function placesOf(tensors) {
  const offsets = []
  let end = 0
  for (const tensor of tensors) {
    offsets.push(end)
    end = aligned(end + byteLengthOf(tensor))
  }
  return { offsets, end }
}

function headerOf(metadata, tensors, offsets) {
  const parts = [uint32(MAGIC), uint32(VERSION), uint64(tensors.length), uint64(metadata.length)]
  for (const [key, type, value] of metadata) parts.push(string(key), uint32(VALUE_TYPES[type]), VALUES[type](value))
  for (const [i, { name, type, shape }] of tensors.entries()) {
    // The dimension whose elements stand together comes first.
    const dims = shape.toReversed().map(uint64)
    parts.push(string(name), uint32(dims.length), ...dims, uint32(TYPES[type].code), uint64(offsets[i]))
  }
  return Buffer.concat(parts)
}

function uint32(value) {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function uint64(value) {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

function float32(value) {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return bytes
}

function string(text) {
  const bytes = Buffer.from(text)
  return Buffer.concat([uint64(bytes.byteLength), bytes])
}

function strings(texts) {
  return Buffer.concat([uint32(VALUE_TYPES.string), uint64(texts.length), ...texts.map(string)])
}

const VALUES = { uint32, float32, string, strings }

function aligned(offset) {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT
}

function padded(bytes) {
  return Buffer.concat([bytes, Buffer.alloc(aligned(bytes.byteLength) - bytes.byteLength)])
}
