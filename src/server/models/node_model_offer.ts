import { stat } from "node:fs/promises"
import { join } from "node:path"
import { openCheckpoint } from "../../checkpoint/checkpoint.js"
import { nodeDirectory } from "../../checkpoint/node_directory.js"
import { type FoundModel, findModel } from "../../checkpoint/node_find_model.js"
import { readQuantizationConfig } from "../../checkpoint/quantization_config.js"
import { parseGptOssConfig } from "../../models/config.js"
import type { ModelCard } from "../served_model.js"
import type { ModelOffer, PoolLog } from "./model_pool.js"
import { startModelProcess } from "./node_start_process.js"
import type { LoadRequest } from "./wire.js"

export interface OfferOptions {
  /** Instead of the folder's or repository's. */
  readonly name?: string
  readonly aliases?: readonly string[]
  /** How it is loaded. */
  readonly options?: LoadRequest["options"]
  readonly log?: PoolLog
  /** Told of bytes of weights as they are loaded. */
  readonly onProgress?: (name: string, done: number, total: number) => void
}

/**
 * Offers a model on this machine, which runs in a process of its own.
 *
 * @param path as `findModel` takes it
 * @throws {CheckpointError} where there is none
 */
export async function offerModel(path: string, given: OfferOptions = {}): Promise<ModelOffer> {
  const { aliases, options = {}, log, onProgress } = given
  const found = await findModel(path)
  const { name = found.name } = given
  const hooks = {
    onProgress: (done: number, total: number) => onProgress?.(name, done, total),
    onWarning: (text: string) => log?.warn({ model: name }, text),
  }
  let card: Promise<Omit<ModelCard, "loaded">> | null = null
  return {
    name,
    aliases,
    card: () => {
      card ??= readCard(name, found, options.max_context).catch((error) => {
        // Its download may be finished by the next time.
        card = null
        throw error
      })
      return card
    },
    load: (room, signal) => {
      const memory_limit = Math.min(room ?? Number.POSITIVE_INFINITY, options.memory_limit ?? Number.POSITIVE_INFINITY)
      const request = {
        path,
        name,
        options: { ...options, ...(memory_limit < Number.POSITIVE_INFINITY && { memory_limit }) },
      }
      return startModelProcess(request, hooks, signal)
    },
  }
}

/** Reads config.json and the headers of the weights' files. */
async function readCard(
  name: string,
  { folder, weights }: FoundModel,
  max_context = Number.POSITIVE_INFINITY,
): Promise<Omit<ModelCard, "loaded">> {
  const { mtimeMs } = await stat(join(folder, "config.json"))
  const checkpoint = await openCheckpoint(nodeDirectory(folder), { weights })
  try {
    const config = parseGptOssConfig(checkpoint.config)
    return {
      name,
      created: Math.floor(mtimeMs / 1000),
      bytes: checkpoint.byteLength,
      quantization: quantizationOf(checkpoint.config),
      max_context: Math.min(config.max_position_embeddings, max_context),
      model_type: config.model_type,
    }
  } finally {
    await checkpoint.close()
  }
}

/** How the experts are stored, which most of the weights are: `mxfp4`, `4-bit`. */
function quantizationOf(config: unknown): string | null {
  const { quantizationOf } = readQuantizationConfig(config)
  const quantization = quantizationOf("model.layers.0.mlp.experts.gate_proj")
  return quantization && (quantization.mode === "affine" ? `${quantization.bits}-bit` : quantization.mode)
}
