import { nodeDirectory } from "../checkpoint/node_directory.js"
import { openModel } from "../checkpoint/node_find_model.js"
import { median } from "./median.js"
import type { DeviceInfo } from "./node_device_info.js"
import { loadInProcess } from "./node_fork_load.js"

/** Read at once: enough for several reads to be in flight. */
const READ_BYTES = 64 << 20

export interface LoadBenchOptions {
  readonly model: string
  readonly device: "auto" | "gpu" | "cpu" | "reference"
  readonly threads?: number
  readonly max_context?: number
  /** Bytes: see `loadModel`. */
  readonly memory_limit?: number
  readonly runs: number
}

export interface LoadBench {
  /** See `findModel`. */
  readonly name: string
  readonly device: DeviceInfo
  readonly files: number
  readonly tensors: number
  readonly bytes: number
  /** Config, index and headers read and checked, every tensor addressable. Median. */
  readonly open_ms: number
  /** Reading the same files from beginning to end and dropping the bytes. Median. */
  readonly read_ms: number
  /** Opening and bringing every weight to the backend. Median. */
  readonly load_ms: number
  /** The same until one token's logits are here. Median. */
  readonly first_token_ms: number
  /** Resident memory that loading and the first token add to a process at most. The most of all runs. */
  readonly host_bytes: number
  /** `load_ms / read_ms` and `first_token_ms / read_ms`: 1 is as fast as reading. */
  readonly load_to_read: number
  readonly first_token_to_read: number
}

/**
 * Times opening, plainly reading and fully loading a checkpoint, in turn. One untimed reading
 * first fills the page cache; each load has a process of its own.
 */
export async function benchLoad({ model, runs, ...options }: LoadBenchOptions): Promise<LoadBench> {
  const { name, folder, checkpoint } = await openModel(model)
  const files = [...new Set([...checkpoint.tensors.values()].map(({ file }) => file))]
  const { byteLength: bytes, tensors } = checkpoint
  await checkpoint.close()
  const buffer = new Uint8Array(READ_BYTES)
  await readFiles(folder, files, buffer)
  const times = { open: [] as number[], read: [] as number[], load: [] as number[], first: [] as number[] }
  let host_bytes = 0
  let where: DeviceInfo = { backend: options.device }
  for (let run = 0; run < runs; run++) {
    const open = await timed(() => openModel(model))
    await open.value.checkpoint.close()
    const read = await timed(() => readFiles(folder, files, buffer))
    const load = await loadInProcess(model, options)
    where = load.device
    host_bytes = Math.max(host_bytes, load.host_bytes)
    times.open.push(open.ms)
    times.read.push(read.ms)
    times.load.push(load.ms)
    times.first.push(load.first_token_ms)
  }
  const [open_ms, read_ms, load_ms, first_token_ms] = [times.open, times.read, times.load, times.first].map(median)
  return {
    name,
    device: where,
    files: files.length,
    tensors: tensors.size,
    bytes,
    open_ms,
    read_ms,
    load_ms,
    first_token_ms,
    host_bytes,
    load_to_read: load_ms / read_ms,
    first_token_to_read: first_token_ms / read_ms,
  }
}

/** Reads through a reused buffer: what a program that only read would take. */
async function readFiles(folder: string, files: readonly string[], buffer: Uint8Array): Promise<void> {
  const directory = nodeDirectory(folder)
  for (const file of files) {
    const source = await directory.open(file)
    try {
      for (let at = 0; at < source.size; at += buffer.byteLength) {
        await source.read(at, buffer.subarray(0, Math.min(buffer.byteLength, source.size - at)))
      }
    } finally {
      await source.close()
    }
  }
}

async function timed<T>(run: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const start = performance.now()
  const value = await run()
  return { value, ms: performance.now() - start }
}
