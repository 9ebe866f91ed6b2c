import type { DType } from "../tensor/dtype.js"
import type { Shape } from "../tensor/shape.js"
import { checkRange, type Directory, isMissing } from "./byte_source.js"
import { CheckpointError, nearestNames, quote } from "./errors.js"
import { explainFolder, refuseOriginal } from "./foreign_folders.js"
import { readJson } from "./json_file.js"
import { type OpenOptions, openWeights, type Origin, type Shard } from "./shards.js"
import { INDEX, readIndex } from "./weight_files.js"

const CONFIG = "config.json"

/** One tensor of a checkpoint. */
export interface TensorInfo {
  readonly name: string
  readonly dtype: DType
  readonly shape: Shape
  readonly byteLength: number
  /** The file that holds it, by its name in the folder. */
  readonly file: string
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
