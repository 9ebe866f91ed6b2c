import type { LanguageModel } from "../engine/model.js"
import { loadModel } from "../engine/node_model.js"
import type { ModelFlags } from "./options.js"
import { formatBytes } from "./ui/format.js"
import { Progress } from "./ui/progress.js"

/** Loads the model that the flags name, runs `use` and frees the model, whatever happens. */
export async function withModel<T>(flags: ModelFlags, use: (model: LanguageModel) => Promise<T>): Promise<T> {
  const { device, threads, precision, context: max_context } = flags
  const model = await withProgress(
    "loading the model",
    (onProgress) => loadModel(flags.model, { device, threads, precision, max_context, onProgress }),
    (done, total) => `${formatBytes(done)} of ${formatBytes(total)}`,
  )
  try {
    return await use(model)
  } finally {
    await model.close()
  }
}

/** Shows a bar while `run` reports progress, and removes it once all is done. */
export async function withProgress<T>(
  label: string,
  run: (onProgress: (done: number, total: number) => void) => Promise<T>,
  format?: (done: number, total: number) => string,
): Promise<T> {
  const progress = new Progress(label, format)
  try {
    return await run((done, total) => (done < total ? progress.update(done, total) : progress.stop()))
  } finally {
    progress.stop()
  }
}
