import { type DType, itemSize } from "../tensor/dtype.js"
import { formatShape, type Shape } from "../tensor/shape.js"
import type { ByteSource } from "./byte_source.js"
import { CheckpointError, type CheckpointErrorCode, quote } from "./errors.js"
import { isText, refuseForeign } from "./foreign_files.js"
import { DuplicateKeyError, JsonError, JsonReader } from "./json_reader.js"

/** The format's own cap on a header (huggingface/safetensors, safetensors/src/tensor.rs). */
export const MAX_HEADER_BYTES = 100_000_000

/** The header's length, little-endian 64 bits, comes first. */
export const LENGTH_BYTES = 8

/** What a header starts with: it is a JSON object, without space before it. */
const BRACE = 0x7b

/** Read at once in the hope that it holds the whole header: one round trip less over HTTP. */
const FIRST_READ_BYTES = 128 << 10

/** The format's dtype names. Its sub-byte, complex and FNUZ types are not supported. */
export const DTYPES: Readonly<Record<string, DType>> = {
  BOOL: "bool",
  U8: "uint8",
  I8: "int8",
  U16: "uint16",
  I16: "int16",
  U32: "uint32",
  I32: "int32",
  U64: "uint64",
  I64: "int64",
  F8_E4M3: "float8_e4m3",
  F8_E5M2: "float8_e5m2",
  F8_E8M0: "float8_e8m0",
  F16: "float16",
  BF16: "bfloat16",
  F32: "float32",
  F64: "float64",
}

/** One tensor as a file's header describes it. */
export interface TensorEntry {
  readonly name: string
  readonly dtype: DType
  readonly shape: Shape
  /** From the start of the file. */
  readonly offset: number
  readonly byteLength: number
}

export interface SafetensorsHeader {
  /** `__metadata__` */
  readonly metadata: ReadonlyMap<string, string>
  /** By name, in the order of the data. */
  readonly tensors: ReadonlyMap<string, TensorEntry>
}

/**
 * Reads and checks a file's header; of the tensors' bytes nothing is read.
 *
 * @throws CheckpointError `wrong_format`, `truncated`, `header_too_large`, `bad_header`, `duplicate_name`,
 * `unknown_dtype`, `wrong_shape` or `offsets`, and what the source throws
 */
export async function readHeader(source: ByteSource): Promise<SafetensorsHeader> {
  const first = new Uint8Array(Math.min(source.size, FIRST_READ_BYTES))
  await source.read(0, first)
  const length = headerLength(first, source)
  const bytes = new Uint8Array(length)
  const known = first.subarray(LENGTH_BYTES, LENGTH_BYTES + length)
  bytes.set(known)
  if (known.length < length) await source.read(LENGTH_BYTES + known.length, bytes.subarray(known.length))
  return parseHeader(bytes, source)
}

function headerLength(first: Uint8Array, source: ByteSource): number {
  const { name: file, size } = source
  const advice = "download the file again"
  if (first[LENGTH_BYTES] !== BRACE) refuseForeign(first, source)
  if (first.length < LENGTH_BYTES) {
    const problem = size === 0 ? "the file is empty" : undefined
    const expected = `at least ${LENGTH_BYTES} bytes`
    throw new CheckpointError({ code: "truncated", file, problem, expected, found: `${size} bytes`, advice })
  }
  const length = new DataView(first.buffer).getBigUint64(0, true)
  if (length > MAX_HEADER_BYTES) {
    throw new CheckpointError({
      code: "header_too_large",
      file,
      problem: "this is not a safetensors file, or its first bytes are damaged",
      expected: `a header of at most ${MAX_HEADER_BYTES} bytes`,
      found: isText(first) ? `text that begins "${quote(ascii(first))}"` : `a length of ${length}`,
      advice,
    })
  }
  if (LENGTH_BYTES + Number(length) > size) {
    throw new CheckpointError({
      code: "truncated",
      file,
      problem: "the header is longer than the file",
      expected: `${LENGTH_BYTES + Number(length)} bytes or more`,
      found: `${size} bytes`,
      advice,
    })
  }
  return Number(length)
}

function ascii(first: Uint8Array): string {
  return String.fromCharCode(...first.subarray(0, 60))
}

interface RawTensor {
  readonly name: string
  readonly dtype: DType
  readonly shape: number[]
  readonly start: number
  readonly end: number
}

function parseHeader(bytes: Uint8Array, { name: file, size }: ByteSource): SafetensorsHeader {
  if (bytes[0] !== BRACE) {
    const found = bytes.length === 0 ? "nothing" : `byte 0x${bytes[0].toString(16)}`
    throw new CheckpointError({ code: "bad_header", file, expected: 'a header that starts with "{"', found })
  }
  const metadata = new Map<string, string>()
  const raw: RawTensor[] = []
  let tensor: string | undefined
  try {
    const reader = new JsonReader(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
    reader.object((name) => {
      tensor = name
      if (name !== "__metadata__") raw.push(readTensor(reader, name, file))
      else if (!reader.null()) reader.object((key) => metadata.set(key, reader.string()))
      tensor = undefined
    })
    reader.end()
  } catch (cause) {
    throw headerError(cause, file, tensor)
  }
  const dataStart = LENGTH_BYTES + bytes.length
  raw.sort((a, b) => a.start - b.start || a.end - b.end)
  checkCoverage(raw, size - dataStart, file)
  const tensors = new Map<string, TensorEntry>()
  for (const { name, dtype, shape, start, end } of raw) {
    tensors.set(name, { name, dtype, shape, offset: dataStart + start, byteLength: end - start })
  }
  return { metadata, tensors }
}

/** `{"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}`; other fields are passed over, as the Rust reader does. */
function readTensor(reader: JsonReader, name: string, file: string): RawTensor {
  let dtype: string | undefined
  let shape: number[] | undefined
  let offsets: number[] | undefined
  const numbers = () => {
    const values: number[] = []
    reader.array(() => values.push(reader.unsigned()))
    return values
  }
  reader.object((field) => {
    if (field === "dtype") dtype = reader.string()
    else if (field === "shape") shape = numbers()
    else if (field === "data_offsets") offsets = numbers()
    else reader.skip()
  })
  const fault = (code: CheckpointErrorCode, field: string, expected: string, found: string) =>
    new CheckpointError({ code, file, tensor: quote(name), field, expected, found })
  if (dtype === undefined) throw fault("bad_header", "dtype", "a dtype", "nothing")
  if (shape === undefined) throw fault("bad_header", "shape", "a list of dimensions", "nothing")
  if (offsets?.length !== 2) {
    const found = offsets ? formatShape(offsets.slice(0, 8)) : "nothing"
    throw fault("bad_header", "data_offsets", "[begin, end]", found)
  }
  if (!Object.hasOwn(DTYPES, dtype)) {
    throw fault("unknown_dtype", "dtype", `one of ${Object.keys(DTYPES).join(", ")}`, quote(dtype))
  }
  const tensor = { name, dtype: DTYPES[dtype], shape, start: offsets[0], end: offsets[1] }
  checkBytes(tensor, fault)
  return tensor
}

function checkBytes(
  { dtype, shape, start, end }: RawTensor,
  fault: (code: CheckpointErrorCode, field: string, expected: string, found: string) => CheckpointError,
): void {
  const found = `${formatShape(shape.slice(0, 8))} of ${dtype}, data_offsets [${start}, ${end}]`
  let bytes = itemSize(dtype)
  for (const dim of shape) {
    bytes *= dim
    if (!Number.isSafeInteger(bytes)) throw fault("wrong_shape", "shape", "fewer than 2^53 bytes", found)
  }
  if (end < start) throw fault("offsets", "data_offsets", "an end at or after the beginning", found)
  if (end - start !== bytes) throw fault("wrong_shape", "data_offsets", `${bytes} bytes, as the shape implies`, found)
}

/** The tensors, sorted, must follow each other without holes or overlap and end where the file ends. */
function checkCoverage(tensors: readonly RawTensor[], dataBytes: number, file: string): void {
  let at = 0
  for (const { name, start, end } of tensors) {
    if (start !== at) {
      throw new CheckpointError({
        code: "offsets",
        file,
        tensor: quote(name),
        field: "data_offsets",
        problem: start < at ? "the tensor overlaps the one before" : "bytes before the tensor belong to none",
        expected: `a beginning at ${at}`,
        found: String(start),
        advice: "download the file again, or have it written again by its publisher",
      })
    }
    at = end
  }
  if (at === dataBytes) return
  throw new CheckpointError({
    code: at > dataBytes ? "truncated" : "offsets",
    file,
    problem: at > dataBytes ? "the file is cut off" : "the file goes on after its last tensor",
    expected: `${at} bytes of tensors`,
    found: `${dataBytes}`,
    advice: "download the file again",
  })
}

function headerError(cause: unknown, file: string, tensor: string | undefined): unknown {
  const where = { file, tensor: tensor && quote(tensor), cause }
  if (cause instanceof DuplicateKeyError) {
    return new CheckpointError({ code: "duplicate_name", ...where, problem: cause.message, found: quote(cause.key) })
  }
  if (cause instanceof JsonError) {
    return new CheckpointError({
      code: "bad_header",
      ...where,
      problem: `the header is not as it should be: ${cause.message}`,
    })
  }
  // What TextDecoder throws.
  if (cause instanceof TypeError) return new CheckpointError({ code: "bad_header", ...where, problem: "not UTF-8" })
  return cause
}
