import type { BigIntStats } from "node:fs"
import { mkdir, readdir, rm, stat } from "node:fs/promises"
import { join } from "node:path"
import { crc32 } from "node:zlib"
import { MemorySource } from "../checkpoint/memory_directory.js"
import { nodeDirectory } from "../checkpoint/node_directory.js"
import { expandHome } from "../checkpoint/node_hub.js"
import { readHeader } from "../checkpoint/safetensors.js"
import type { DType } from "../tensor/dtype.js"
import type { TokenizerParts } from "./tokenizer_json.js"
import { Vocabulary } from "./vocabulary.js"

/** Raise it when files are read in another way, or when other arrays follow from them. */
const FORMAT = "1"

/** Smaller files are read as quickly as what would be kept of them. */
const LEAST_BYTES = 4 << 20

/** Tokenizers kept, some 10 MB each. */
const MOST_KEPT = 8

export interface KeptOptions {
  /** By default `minerva/tokenizers` in XDG_CACHE_HOME or ~/.cache. */
  readonly cache?: string
  /** Bytes of the smallest tokenizer.json that is kept. */
  readonly least?: number
}

type Arrays = Readonly<Record<string, Uint8Array | Uint32Array | Int32Array>>

/**
 * Keeps what was read of a folder's tokenizer.json, as the arrays that it became: 28 MB of JSON take 0.2 s, these 10 ms. They
 * are known by the file's inode, size and times, so that a file that was replaced or written to is read anew. Where nothing can
 * be kept, nothing is; what is damaged is passed over.
 */
export function keptTokenizer(folder: string, { cache = defaultCache(), least = LEAST_BYTES }: KeptOptions = {}) {
  const place = stat(join(folder, "tokenizer.json"), { bigint: true })
    .then((stats) => (stats.size < least ? undefined : placeOf(stats)))
    .catch(() => undefined)
  const known = place.then((there) => there && readParts(cache, there.name, there.identity)).catch(() => undefined)
  return {
    /** Begun already: whoever waits for it later has it sooner. */
    read: (): Promise<TokenizerParts | undefined> => known,
    /** Resolves when it is written, or could not be. */
    async write(parts: TokenizerParts): Promise<void> {
      const there = await place
      if (there) await writeParts(cache, there.name, there.identity, parts).catch(() => {})
    },
  }
}

function defaultCache(): string {
  return join(expandHome(process.env.XDG_CACHE_HOME || "~/.cache"), "minerva", "tokenizers")
}

function placeOf({ ino, size, mtimeNs, ctimeNs }: BigIntStats): { name: string; identity: string } {
  return { name: `${ino}-${size}.safetensors`, identity: `${FORMAT} ${ino} ${size} ${mtimeNs} ${ctimeNs}` }
}

async function readParts(cache: string, name: string, identity: string): Promise<TokenizerParts | undefined> {
  const source = await nodeDirectory(cache).open(name)
  const bytes = new Uint8Array(source.size)
  await source.read(0, bytes).finally(() => source.close())
  const { metadata, tensors } = await readHeader(new MemorySource(name, bytes))
  const settings = metadata.get("settings")
  if (metadata.get("identity") !== identity || settings === undefined) return undefined
  const at = (name: string) => {
    const { offset, shape } = tensors.get(name)!
    return [bytes.buffer, bytes.byteOffset + offset, shape[0]] as const
  }
  const arrays = {
    bytes: new Uint8Array(...at("bytes")),
    starts: new Uint32Array(...at("starts")),
    ids: new Uint32Array(...at("ids")),
    made: new Uint32Array(...at("made")),
    cuts: new Uint32Array(...at("cuts")),
    table: new Int32Array(...at("table")),
  }
  if (metadata.get("checksum") !== checksumOf(arrays, settings)) return undefined
  const { ids, made, cuts } = arrays
  const vocabulary = new Vocabulary(arrays.bytes, arrays.starts, arrays.table)
  return { settings: JSON.parse(settings), vocabulary, ids, made, cuts }
}

async function writeParts(cache: string, name: string, identity: string, parts: TokenizerParts): Promise<void> {
  const { ids, made, cuts } = parts
  const { bytes, starts, table } = parts.vocabulary
  const arrays: Arrays = { bytes, starts, ids, made, cuts, table }
  const settings = JSON.stringify(parts.settings)
  // Only where something is written.
  const { nodeWritableDirectory } = await import("../checkpoint/node_writable_directory.js")
  const { writeSafetensors } = await import("../checkpoint/safetensors_writer.js")
  await mkdir(cache, { recursive: true, mode: 0o700 })
  const tensors = Object.entries(arrays).map(([name, array]) => {
    const own = new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
    const read = async (offset: number, into: Uint8Array) => into.set(own.subarray(offset, offset + into.length))
    return { name, dtype: dtypeOf(array), shape: [array.length], read }
  })
  const metadata = { identity, settings, checksum: checksumOf(arrays, settings) }
  await writeSafetensors(nodeWritableDirectory(cache), name, tensors, metadata)
  await removeOldest(cache)
}

async function removeOldest(cache: string): Promise<void> {
  const files = (await readdir(cache)).map((file) => join(cache, file))
  const dated = await Promise.all(files.map(async (file) => ({ file, written: (await stat(file)).mtimeMs })))
  dated.sort((a, b) => b.written - a.written)
  for (const { file } of dated.slice(MOST_KEPT)) await rm(file, { force: true })
}

function dtypeOf(array: Arrays[string]): DType {
  if (array instanceof Uint8Array) return "uint8"
  return array instanceof Uint32Array ? "uint32" : "int32"
}

/** It tells damage, not forgery. */
function checksumOf({ bytes, starts, ids, made, cuts, table }: Arrays, settings: string): string {
  return [bytes, starts, ids, made, cuts, table].reduce((sum, array) => crc32(array, sum), crc32(settings)).toString()
}
