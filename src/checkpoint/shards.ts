import { type ByteSource, type Directory, forEachLimited, isMissing } from "./byte_source.js"
import { CheckpointError } from "./errors.js"
import { explainFolder, refuseAdapter } from "./foreign_folders.js"
import { readHeader, type TensorEntry } from "./safetensors.js"
import { chooseFiles, type FileSet, INDEX, SINGLE, setOf, some, withWholeSets } from "./weight_files.js"

/** Files opened at once. */
const OPEN_AT_ONCE = 16

/** One opened file of weights. */
export interface Shard {
  readonly source: ByteSource
  readonly tensors: ReadonlyMap<string, TensorEntry>
  readonly metadata: ReadonlyMap<string, string>
}

/** What is known of the weights' files besides the files themselves: for messages. */
export interface Origin {
  readonly index: ReadonlyMap<string, string> | null
  readonly doubtful?: string
}

export interface OpenOptions {
  /** Called as headers arrive: files done, files in all. */
  readonly onProgress?: (done: number, total: number) => void
  /** A file of the weights that are meant, where a folder holds several; by default index and names tell. */
  readonly weights?: string
}

/** Opens the files that hold the weights into `shards`. */
export async function openWeights(
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
    // The index is of other weights only where these are whole by their own names, and it knows nothing of some of them.
    const indexed = new Set(index.values())
    const isOther = set?.files.some((file) => !indexed.has(file))
    return isOther && (set?.isNumbered || set?.files.includes(SINGLE)) ? set : undefined
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
