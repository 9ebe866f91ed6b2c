import { createHash } from "node:crypto"
import { mkdir } from "node:fs/promises"
import { loadPrefixes, savePrefixes } from "../cache/kv_files.js"
import type { KvStore } from "../cache/kv_store.js"
import type { Checkpoint } from "../checkpoint/checkpoint.js"
import { nodeDirectory } from "../checkpoint/node_directory.js"
import { nodeWritableDirectory } from "../checkpoint/node_writable_directory.js"
import { PAGE_IO } from "./page_io.js"

/** Tensors that are small enough to be read whole for a model's identity: norms, sinks and biases. */
const SMALL_BYTES = 64 << 10

/** Read of the middle of every other tensor: a training that leaves norms alone changes nearly all values of a matrix. */
const SAMPLE_BYTES = 4 << 10

/** What prompts begin with, kept in a folder from one process to the next. */
export class KvCacheFolder {
  private saved = ""

  private constructor(
    private readonly store: KvStore,
    private readonly folder: string,
    private readonly file: string,
    private readonly model: string,
    private readonly onWarning: (text: string) => void,
  ) {}

  /**
   * Reads what there is for this model into the store, whose storages must be resident. A damaged file, or one of another model, is
   * passed over with a warning.
   *
   * @param name of the model, for the file's
   */
  static async open(
    store: KvStore,
    checkpoint: Checkpoint,
    name: string,
    folder: string,
    onWarning: (text: string) => void,
  ): Promise<KvCacheFolder> {
    const file = `${name.replace(/[^\w.-]+/g, "--")}-${store.format}-${store.page_size}.safetensors`
    const kept = new KvCacheFolder(store, folder, file, await identityOf(checkpoint), onWarning)
    const { warning } = await loadPrefixes(store, kept.model, PAGE_IO, nodeDirectory(folder), file)
    if (warning) onWarning(warning)
    kept.saved = kept.state
    return kept
  }

  /** Writes what is in the store now, if it has changed. A folder that cannot be written is a warning. */
  async save(): Promise<void> {
    if (this.state === this.saved) return
    try {
      await mkdir(this.folder, { recursive: true })
      await savePrefixes(this.store, this.model, PAGE_IO, nodeWritableDirectory(this.folder), this.file)
      this.saved = this.state
    } catch (error) {
      this.onWarning(`the KV cache was not saved: ${(error as Error).message}`)
    }
  }

  /** Changes with what the prefix tree holds. */
  private get state(): string {
    return this.store.tree.nodes.map(({ tokens }) => tokens.join()).join(";")
  }
}

/** Changes with the weights: of config.json, the table of tensors, the bytes of small ones and samples of the others. */
async function identityOf(checkpoint: Checkpoint): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify(checkpoint.config))
  for (const { name, dtype, shape, byteLength } of checkpoint.tensors.values()) {
    hash.update(`${name} ${dtype} ${shape.join()} `)
    const bytes = new Uint8Array(byteLength > SMALL_BYTES ? SAMPLE_BYTES : byteLength)
    await checkpoint.read(name, Math.floor((byteLength - bytes.length) / 2), bytes)
    hash.update(bytes)
  }
  return hash.digest("hex")
}
