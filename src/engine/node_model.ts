import { openModel } from "../checkpoint/node_find_model.js"
import { NodeGrammars } from "../text/node_grammars.js"
import { keptTokenizer } from "../text/node_kept_tokenizer.js"
import { type LoadModelOptions, loadModelOn, type Platform } from "./load_model.js"
import type { LanguageModel } from "./model.js"
import { openBackend } from "./node_backend.js"
import { KvCacheFolder } from "./node_kv_cache.js"

const NODE: Platform = {
  async openModel(path) {
    const { name, folder, checkpoint } = await openModel(path)
    return { name, checkpoint, keptTokenizer: () => keptTokenizer(folder) }
  },
  openBackend,
  openGrammars: (text, vocab_size) => new NodeGrammars(text, vocab_size),
  openKvCache: (store, { name, checkpoint }, folder, onWarning) =>
    KvCacheFolder.open(store, checkpoint, name, folder, onWarning),
}

/**
 * Loads a model from a folder with config.json, tokenizer.json and safetensors, in MLX's or Hugging Face's layout.
 *
 *     const model = await loadModel("models/minerva-tiny")
 *
 * @param path a folder, or a repository's name (`openai/gpt-oss-20b`) that is looked up in the Hugging Face cache: see
 * `findModel`
 * @throws {ParameterError} for an option that is not known or out of range
 * @throws {CheckpointError} for a folder that is incomplete, damaged or not supported; {@link MemoryLimitError} before
 * anything is loaded, when it would not fit, and when a GPU turns out to have less memory than that
 */
export function loadModel(path: string, options?: LoadModelOptions): Promise<LanguageModel> {
  return loadModelOn(NODE, path, options)
}
