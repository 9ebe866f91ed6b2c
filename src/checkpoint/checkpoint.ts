import type { DType } from "../tensor/dtype.js"
import type { Shape } from "../tensor/shape.js"
import { type ByteSource, checkRange, type Directory, forEachLimited, isMissing } from "./byte_source.js"
import { CheckpointError, nearestNames, quote } from "./errors.js"
import { explainFolder, refuseAdapter, refuseOriginal } from "./foreign_folders.js"
import { readJson } from "./json_file.js"
import { readHeader, type TensorEntry } from "./safetensors.js"
import { chooseFiles, type FileSet, INDEX, readIndex, SINGLE, setOf, some, withWholeSets } from "./weight_files.js"

const CONFIG = "config.json"

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

/** What is known of the weights' files besides the files themselves: for messages. */
interface Origin {
  readonly index: ReadonlyMap<string, string> | null
  readonly doubtful?: string
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
    private readonly origin: Origin,
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
    const { index, doubtful } = this.origin
    const nearest = nearestNames(name, among)
    const found = nearest.length ? `the nearest names ${nearest.map(quote).join(", ")}` : "no tensors"
    const fault = { code: "tensor_missing", tensor: quote(name), found } as const
    const indexed = index?.get(name)
    if (indexed !== undefined) {
      const problem = `${INDEX} says the tensor is in this file, but it is not`
      const advice = `take ${INDEX} and the weights from the same revision`
      return new CheckpointError({ ...fault, file: indexed, problem, advice })
    }
    return new CheckpointError({
      ...fault,
      file: this.directory.name,
      problem: "the checkpoint does not hold this tensor",
      advice: doubtful
        ? `see whether ${doubtful} belongs to the model, for it is not in the folder, and no index tells`
        : "check that config.json and the weights are of the same model",
    })
  }

  async close(): Promise<void> {
    await Promise.all([...this.shards.values()].map(({ source }) => source.close()))
  }
}

export interface OpenOptions {
  /** Called as headers arrive: files done, files in all. */
  readonly onProgress?: (done: number, total: number) => void
  /** A file of the weights that are meant, where a folder holds several; by default index and names tell. */
  readonly weights?: string
}

/**
 * Opens a model folder: `config.json` and the weights, which are the files of `model.safetensors.index.json` or those that
 * {@link chooseFiles} finds. Headers are read in parallel and checked; no tensor bytes are read. Which file holds a tensor
 * the headers say: the index decides only where several do.
 *
 * @throws CheckpointError for whatever is missing, broken, of another format or points outside the folder
 */
export async function openCheckpoint(directory: Directory, options: OpenOptions = {}): Promise<Checkpoint> {
  const [config, index] = await Promise.all([readConfig(directory), readIndex(directory)])
  const shards = new Map<string, Shard>()
  try {
    const origin = await openWeights(directory, index, options, shards)
    const tensors = tensorTable(shards, origin.index)
    const [first] = shards.keys()
    refuseOriginal(tensors.keys(), first)
    const metadata = new Map([...shards].map(([file, shard]) => [file, shard.metadata]))
    return new Checkpoint(directory, config, tensors, metadata, shards, origin)
  } catch (error) {
    await Promise.all([...shards.values()].map(({ source }) => source.close()))
    throw error
  }
}

async function readConfig(directory: Directory): Promise<unknown> {
  try {
    return await readJson(directory, CONFIG)
  } catch (error) {
    throw error instanceof CheckpointError && isMissing(error) ? await explainFolder(directory, error) : error
  }
}

/** Opens the files that hold the weights into `shards`. */
async function openWeights(
  directory: Directory,
  index: ReadonlyMap<string, string> | null,
  { onProgress, weights }: OpenOptions,
  shards: Map<string, Shard>,
): Promise<Origin> {
  const open = (files: readonly string[]) => openShards(directory, files, shards, onProgress)
  const openSet = async ({ files, doubtful }: FileSet): Promise<Origin> => {
    const absent = await open(files)
    if (absent.length > 0) throw notThere(directory, absent)
    return { index: null, doubtful }
  }
  const indexed = [...new Set(index?.values())]
  if (weights !== undefined && !indexed.includes(weights)) {
    refuseAdapter(weights)
    return openSet(setOf(weights, (await directory.list?.()) ?? [], directory))
  }
  // A folder that cannot be listed may still have files that can be opened.
  const names = index && (await directory.list?.().catch(() => []))
  const absent = await open(withWholeSets(indexed, names ?? []))
  if (index && absent.length === 0) return { index }
  const set = await withoutIndex(directory, index)
  if (set) {
    await Promise.all([...shards.values()].map(({ source }) => source.close()))
    shards.clear()
    return openSet(set)
  }
  if (!index) throw await noWeights(directory)
  if (shards.size > 0 && isWhole(index, shards)) return { index }
  throw notThere(directory, absent, `${INDEX} lists this file, but `)
}

/** The files that hold the weights when there is no index, or when files that it names are not there. */
async function withoutIndex(
  directory: Directory,
  index: ReadonlyMap<string, string> | null,
): Promise<FileSet | undefined> {
  const names = await directory.list?.()
  if (!names) return (await exists(directory, SINGLE)) ? chooseFiles([SINGLE], directory) : undefined
  if (!index) return chooseFiles(names, directory)
  try {
    const set = chooseFiles(names, directory)
    // The index is of other weights only where these are whole by their own names.
    return set?.isNumbered || set?.files.includes(SINGLE) ? set : undefined
  } catch {
    return undefined
  }
}

/** Whether the files that are there hold every tensor of the index, whatever it says of others. */
function isWhole(index: ReadonlyMap<string, string>, shards: ReadonlyMap<string, Shard>): boolean {
  const stored = [...shards.values()]
  return [...index].every(([name, file]) => shards.has(file) || stored.some(({ tensors }) => tensors.has(name)))
}

async function exists(directory: Directory, file: string): Promise<boolean> {
  try {
    await (await directory.open(file)).close()
    return true
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

/** @param absent what the directory said of each file, at least one */
function notThere({ advice }: Directory, absent: readonly CheckpointError[], why = ""): CheckpointError {
  const { file, problem } = absent[0].fault
  const others = absent.slice(1).map((error) => error.fault.file ?? "")
  return new CheckpointError({
    code: "file_missing",
    file,
    problem: why + problem + (others.length > 0 ? `, and neither are ${some(others)}` : ""),
    advice: advice ?? "download the missing file",
    cause: absent[0],
  })
}

function noWeights(directory: Directory): Promise<CheckpointError> {
  const { name, advice } = directory
  const problem = `${name} holds neither ${INDEX} nor this file`
  const canList = directory.list !== undefined
  return explainFolder(
    directory,
    new CheckpointError({
      code: "file_missing",
      file: SINGLE,
      problem: canList
        ? `${problem}, nor other safetensors`
        : `${problem}, and an address does not tell what else is there`,
      advice: canList
        ? (advice ?? "give the folder of a model in safetensors format")
        : `put ${INDEX} beside the shards`,
    }),
  )
}

/** Opens files into `shards`, in the order of `files`. @returns what the directory says of those that are not there */
async function openShards(
  directory: Directory,
  files: readonly string[],
  shards: Map<string, Shard>,
  onProgress?: OpenOptions["onProgress"],
): Promise<CheckpointError[]> {
  const opened = new Map<string, Shard | CheckpointError>()
  try {
    await forEachLimited(files, OPEN_AT_ONCE, async (file) => {
      opened.set(file, await openShard(directory, file))
      onProgress?.(opened.size, files.length)
    })
  } finally {
    for (const file of files) {
      const shard = opened.get(file)
      if (shard && !(shard instanceof CheckpointError)) shards.set(file, shard)
    }
  }
  return files.map((file) => opened.get(file)).filter((shard) => shard instanceof CheckpointError)
}

/** @returns the directory's error when the file is not there; throws all others */
async function openShard(directory: Directory, file: string): Promise<Shard | CheckpointError> {
  let source: ByteSource
  try {
    source = await directory.open(file)
  } catch (error) {
    if (error instanceof CheckpointError && isMissing(error)) return error
    throw error
  }
  try {
    return { source, ...(await readHeader(source)) }
  } catch (error) {
    await source.close()
    throw error
  }
}

/** Joins the shards' tables; where a name stands in several shards the index decides. */
function tensorTable(
  shards: ReadonlyMap<string, Shard>,
  index: ReadonlyMap<string, string> | null,
): Map<string, TensorInfo> {
  const table = new Map<string, TensorInfo>()
  for (const [file, { tensors }] of shards) {
    for (const { name, dtype, shape, byteLength } of tensors.values()) {
      const decided = index?.get(name)
      const isDecided = decided !== undefined && shards.get(decided)?.tensors.has(name)
      if (isDecided && decided !== file) continue
      const other = table.get(name)?.file
      if (other !== undefined) throw inTwoFiles(name, file, other)
      table.set(name, { name, dtype, shape, byteLength, file })
    }
  }
  return table
}

function inTwoFiles(name: string, file: string, other: string): CheckpointError {
  return new CheckpointError({
    code: "duplicate_name",
    file,
    tensor: quote(name),
    problem: `the tensor is in ${quote(other)} too, and no ${INDEX} says which one counts`,
    advice: "keep the files of one set of weights in the folder",
  })
}
