import { type Directory, isMissing } from "./byte_source.js"
import { CheckpointError, quote } from "./errors.js"
import { refuseErrorDocument, refuseForeign } from "./foreign_files.js"
import { JsonReader } from "./json_reader.js"

/** The most a text file of a checkpoint (config, index) may weigh. */
const MAX_JSON_BYTES = 100_000_000

/**
 * Reads and parses a small JSON file, as Python reads it: `NaN` and `Infinity` are numbers. A byte order mark is passed over.
 * @throws CheckpointError `bad_json`, `wrong_format` when it is another kind of file, and what `Directory.open` throws
 */
export async function readJson(directory: Directory, name: string): Promise<unknown> {
  return parseJson(await readJsonBytes(directory, name), name)
}

/**
 * The bytes of a JSON file, for who parses them himself. `parseJson` says what is wrong where that fails.
 *
 * @throws CheckpointError as `readJson`, but for what is in it
 */
export async function readJsonBytes(directory: Directory, name: string): Promise<Uint8Array> {
  const source = await directory.open(name)
  try {
    if (source.size > MAX_JSON_BYTES) {
      const found = `${source.size} bytes`
      throw new CheckpointError({ code: "bad_json", file: name, expected: `at most ${MAX_JSON_BYTES} bytes`, found })
    }
    const bytes = new Uint8Array(source.size)
    await source.read(0, bytes)
    return bytes
  } finally {
    await source.close()
  }
}

/** A JSON file that a folder may lack: undefined then. @throws as `readJson` otherwise */
export async function readOptionalJson(directory: Directory, name: string): Promise<unknown> {
  return readJson(directory, name).catch(ifMissing)
}

/** Undefined for the error of a file that is missing, which may be. */
export function ifMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error
}

/** The value of a JSON file's bytes. @throws CheckpointError as `readJson` */
export function parseJson(bytes: Uint8Array, file: string): unknown {
  let value: unknown
  try {
    value = parsePython(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch (cause) {
    refuseForeign(bytes, { name: file })
    const isBlank = bytes.every((byte) => byte === 0x20 || (byte >= 9 && byte <= 13))
    throw new CheckpointError({
      code: "bad_json",
      file,
      problem: isBlank ? "the file is empty" : `not valid JSON (${quote(String((cause as Error).message))})`,
      advice: "download the file again",
      cause,
    })
  }
  refuseErrorDocument(value, file)
  return value
}

/** JSON, or what Python's json module and transformers make of numbers that are not finite. */
function parsePython(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    // The fast way knows no such numbers; the words may stand in strings, too.
    if (!/NaN|Infinity/.test(text)) throw error
    const reader = new JsonReader(text.trim())
    value = reader.value()
    reader.end()
  }
  return text.includes('"__float__"') ? untagged(value) : value
}

/** `{"__float__": "Infinity"}` -> Infinity: how transformers keeps a config valid JSON. */
function untagged(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) return value.map(untagged)
  const entries = Object.entries(value)
  const [[key, tag] = []] = entries
  const isTag = entries.length === 1 && key === "__float__" && /^(-?Infinity|NaN)$/.test(String(tag))
  return isTag ? Number(tag) : Object.fromEntries(entries.map(([name, item]) => [name, untagged(item)]))
}
