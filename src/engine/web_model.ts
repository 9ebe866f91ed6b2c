import { openCheckpoint } from "../checkpoint/checkpoint.js"
import { httpDirectory } from "../checkpoint/http_directory.js"
import { ParameterError } from "./errors.js"
import { type LoadModelOptions, loadModelOn, type Platform } from "./load_model.js"
import type { LanguageModel } from "./model.js"
import { openBackend } from "./web_backend.js"

const BROWSER: Platform = { openModel, openBackend }

/**
 * Loads a model from a folder behind HTTP, as in Node from one on disk.
 *
 *     const model = await loadModel("/models/minerva-tiny", { device: "cpu", threads: 4 })
 *
 * @param path the folder's address, relative to that of the page or worker; other servers must allow it (CORS)
 * @throws as in Node; {@link ParameterError} for `kv_cache_dir`, for there are no folders
 */
export function loadModel(path: string, options?: LoadModelOptions): Promise<LanguageModel> {
  return loadModelOn(BROWSER, path, options)
}

async function openModel(path: string) {
  const address = URL.canParse(path, location.href) && new URL(path, location.href)
  if (!address || address.search || address.hash) {
    throw new ParameterError("path", "the address of a folder, without a query", path)
  }
  const checkpoint = await openCheckpoint(httpDirectory(address.href))
  return { name: decodeURIComponent(address.pathname.split("/").filter(Boolean).at(-1) ?? address.host), checkpoint }
}
