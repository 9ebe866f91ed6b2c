import type { DType } from "../tensor/dtype.js"
import type { Shape } from "../tensor/shape.js"
import { type ByteSource, checkRange, type Directory, forEachLimited, pathParts, readJson } from "./byte_source.js"
import { CheckpointError, nearestNames, quote } from "./errors.js"
import { readHeader, type TensorEntry } from "./safetensors.js"

const CONFIG = "config.json"
const INDEX = "model.safetensors.index.json"
const SINGLE = "model.safetensors"

/** Files opened at once. */
const OPEN_AT_ONCE = 16

/** One tensor of a checkpoint. */
export interface TensorInfo {
  readonly name: string
  readonly dtype: DType
  readonly shape: Shape
  readonly byteLength: number
  /** The file that holds it, by its name in the folder. */
  readonly file: string
}

interface Shard {
  readonly source: ByteSource
  readonly tensors: ReadonlyMap<string, TensorEntry>
  readonly metadata: ReadonlyMap<string, string>
}

/** An opened model folder: config and tensor table in memory, tensor bytes still where they are. */
export class Checkpoint {
  constructor(
    readonly directory: Directory,
    /** config.json as parsed, unchecked. */
    readonly config: unknown,
    /** By name. */
    readonly tensors: ReadonlyMap<string, TensorInfo>,
    /** `__metadata__` by file. */
    readonly metadata: ReadonlyMap<string, ReadonlyMap<string, string>>,
    private readonly shards: ReadonlyMap<string, Shard>,
  ) {}

  /** Bytes of all tensors. */
  get byteLength(): number {
    let total = 0
    for (const { byteLength } of this.tensors.values()) total += byteLength
    return total
  }

  /** @throws CheckpointError `tensor_missing`, listing the nearest names */
  info(name: string): TensorInfo {
    const info = this.tensors.get(name)
    if (!info) throw this.missingTensor(name)
    return info
  }

  /**
   * Fills `into` with the tensor's bytes from `offset`, straight from the file; `into` may view WASM or shared memory.
   * @throws CheckpointError `tensor_missing`, `out_of_range`, and what the source throws
   */
  async read(name: string, offset: number, into: Uint8Array): Promise<void> {
    const { source, tensors } = this.shards.get(this.info(name).file)!
    const entry = tensors.get(name)!
    checkRange({ name: `tensor "${quote(name)}" in ${source.name}`, size: entry.byteLength }, offset, into.byteLength)
    await source.read(entry.offset + offset, into)
  }

  /** The error for a tensor that is not there. @param among the names to compare with, if not the stored ones */
  missingTensor(name: string, among: Iterable<string> = this.tensors.keys()): CheckpointError {
    const nearest = nearestNames(name, among)
    return new CheckpointError({
      code: "tensor_missing",
      file: this.directory.name,
      tensor: quote(name),
      problem: "the checkpoint does not hold this tensor",
      found: nearest.length ? `the nearest names ${nearest.map(quote).join(", ")}` : "no tensors",
      advice: "check that config.json and the weights are of the same model",
    })
  }

  async close(): Promise<void> {
    await Promise.all([...this.shards.values()].map(({ source }) => source.close()))
  }
}

/**
 * Opens a model folder: `config.json` and either the shards of `model.safetensors.index.json` or `model.safetensors`.
 * Headers are read in parallel and checked; no tensor bytes are read.
 *
 * @param onProgress called as headers arrive: files done, files in all
 * @throws CheckpointError for whatever is missing, broken or points outside the folder
 */
export async function openCheckpoint(
  directory: Directory,
  onProgress?: (done: number, total: number) => void,
): Promise<Checkpoint> {
  const [config, index] = await Promise.all([readJson(directory, CONFIG), readIndex(directory)])
  const files = index ? [...new Set(index.values())] : [SINGLE]
  const shards = new Map<string, Shard>()
  try {
    await forEachLimited(files, OPEN_AT_ONCE, async (file) => {
      shards.set(file, await openShard(directory, file, index !== null))
      onProgress?.(shards.size, files.length)
    })
    const tensors = tensorTable(files, shards, index)
    const metadata = new Map(files.map((file) => [file, shards.get(file)!.metadata]))
    return new Checkpoint(directory, config, tensors, metadata, shards)
  } catch (error) {
    await Promise.all([...shards.values()].map(({ source }) => source.close()))
    throw error
  }
}

async function openShard(directory: Directory, file: string, listed: boolean): Promise<Shard> {
  const source = await directory.open(file).catch((error: unknown) => {
    if (!(error instanceof CheckpointError) || error.code !== "file_missing") throw error
    const problem = listed
      ? `${INDEX} lists this file, but it is not in ${directory.name}`
      : `${directory.name} holds neither ${INDEX} nor this file`
    const advice = listed ? "download the missing file" : "give the folder of a model in safetensors format"
    throw new CheckpointError({ code: "file_missing", file, problem, advice, cause: error })
  })
  try {
    return { source, ...(await readHeader(source)) }
  } catch (error) {
    await source.close()
    throw error
  }
}

/** Tensor name -> file; null where there is no index. */
async function readIndex(directory: Directory): Promise<Map<string, string> | null> {
  let index: unknown
  try {
    index = await readJson(directory, INDEX)
  } catch (error) {
    if (error instanceof CheckpointError && error.code === "file_missing") return null
    throw error
  }
  const map = (index as { weight_map?: unknown } | null)?.weight_map
  const bad = (field: string, expected: string, value: unknown) =>
    new CheckpointError({ code: "bad_index", file: INDEX, field, expected, found: quote(value) })
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    throw bad("weight_map", "an object of tensor names and files", map)
  }
  const files = new Map<string, string>()
  for (const [name, file] of Object.entries(map)) {
    if (typeof file !== "string") throw bad(`weight_map.${quote(name)}`, "a file name", file)
    pathParts(file)
    files.set(name, file)
  }
  if (files.size === 0) throw bad("weight_map", "at least one tensor", map)
  return files
}

/** Joins the shards' tables; where a name stands in several shards the index decides. */
function tensorTable(
  files: readonly string[],
  shards: ReadonlyMap<string, Shard>,
  index: ReadonlyMap<string, string> | null,
): Map<string, TensorInfo> {
  const table = new Map<string, TensorInfo>()
  for (const file of files) {
    for (const { name, dtype, shape, byteLength } of shards.get(file)!.tensors.values()) {
      const other = table.get(name)?.file
      const decided = index?.get(name)
      if (decided !== undefined && decided !== file) continue
      if (other !== undefined) {
        const problem = `the tensor is in ${quote(other)} too, and ${INDEX} does not say which one counts`
        throw new CheckpointError({ code: "duplicate_name", file, tensor: quote(name), problem })
      }
      table.set(name, { name, dtype, shape, byteLength, file })
    }
  }
  for (const [name, file] of index ?? []) {
    if (table.has(name)) continue
    const nearest = nearestNames(name, shards.get(file)!.tensors.keys())
    throw new CheckpointError({
      code: "tensor_missing",
      file,
      tensor: quote(name),
      problem: `${INDEX} says the tensor is in this file, but it is not`,
      found: nearest.length ? `the nearest names ${nearest.map(quote).join(", ")}` : "no tensors",
      advice: `take ${INDEX} and the weights from the same revision`,
    })
  }
  return table
}
