import type { Backend } from "../backends/backend.js"
import type { LanguageModel } from "../engine/model.js"
import { openBackend } from "../engine/node_backend.js"
import type { LoadModelOptions } from "../engine/load_model.js"
import { loadModel } from "../engine/node_model.js"
import { formatBytes } from "../tensor/bytes.js"
import type { DeviceFlags, ModelFlags, PoolFlags } from "./options.js"
import { printNote } from "./ui/output.js"
import { Progress } from "./ui/progress.js"

type OnProgress = (done: number, total: number) => void

/**
 * Loads the model that the flags name, runs `use` and frees the model, whatever happens.
 *
 * @param room what the memory must have room for: the conversation that the flags say by default
 */
export async function withModel<T>(
  flags: ModelFlags & Pick<LoadModelOptions, "text">,
  use: (model: LanguageModel, backend: Backend) => Promise<T>,
  room: Pick<LoadModelOptions, "max_context" | "sequences"> = { max_context: flags.context },
): Promise<T> {
  const backend = await openDevice(flags)
  try {
    const model = await load(flags, {
      backend,
      ...room,
      text: flags.text,
      ...poolOptions(flags),
      memory_limit: flags.memoryLimit,
      kv_cache_dir: flags.kvCacheDir,
      onWarning: printNote,
    })
    try {
      return await use(model, backend)
    } finally {
      await model.close()
    }
  } finally {
    await backend.close()
  }
}

/** What the flags say of the pool, under the engine's names. */
export function poolOptions({ kvBits, kvMemory, maxSequences }: PoolFlags) {
  return { kv_bits: kvBits, kv_memory: kvMemory, max_sequences: maxSequences }
}

/** Shows the bytes that arrive, then the kernels that are still being compiled. */
function load(flags: ModelFlags, options: LoadModelOptions): Promise<LanguageModel> {
  let isLoaded = false
  const run = (showBytes: OnProgress, showKernels: OnProgress) =>
    loadModel(flags.model, {
      ...options,
      onProgress: (done, total) => {
        isLoaded = done >= total
        showBytes(done, total)
      },
      onCompile: (done, total) => {
        if (isLoaded) showKernels(done, total)
      },
    })
  return withProgress(
    "loading the model",
    (showBytes) => withProgress("compiling kernels", (showKernels) => run(showBytes, showKernels)),
    (done, total) => `${formatBytes(done)} of ${formatBytes(total)}`,
  )
}

/** Opens the device that the flags name, and says which it is where they leave that open. */
export async function openDevice({ device, threads, precision }: DeviceFlags): Promise<Backend> {
  const { backend, reason } = await openBackend({ device, threads, precision })
  if (device === "auto" || device === "gpu") printNote(reason)
  return backend
}

/** Shows a bar while `run` reports progress, and removes it once all is done. */
export async function withProgress<T>(
  label: string,
  run: (onProgress: OnProgress) => Promise<T>,
  format?: (done: number, total: number) => string,
): Promise<T> {
  const progress = new Progress(label, format)
  try {
    return await run((done, total) => (done < total ? progress.update(done, total) : progress.stop()))
  } finally {
    progress.stop()
  }
}
