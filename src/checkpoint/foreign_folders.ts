import type { Directory } from "./byte_source.js"
import { CheckpointError, type CheckpointFault } from "./errors.js"
import { OTHER_WEIGHTS } from "./foreign_files.js"
import { isAdapter, some } from "./weight_files.js"

const ADAPTER = {
  problem: "this is an adapter (LoRA): it changes a model, and the model itself is not here",
  advice: "fuse it with its base model first, for example with python -m mlx_lm fuse, and give the fused folder",
}

const ORIGINAL = {
  problem: "this is OpenAI's own layout (the folder original/), which is not supported",
  advice:
    "give the folder above it if that has the Hugging Face files, or get them with minerva pull openai/gpt-oss-20b",
}

/** Formats by what their files are called. */
const BY_NAME: readonly (readonly [RegExp, { problem: string; advice: string }])[] = [
  [/\.gguf$/i, OTHER_WEIGHTS.gguf],
  [/^model\.bin$/, OTHER_WEIGHTS.metal],
  [/\.(bin|pth?|ckpt|pkl)$/i, OTHER_WEIGHTS.pytorch],
  [/\.(npz|onnx|h5|msgpack|mlmodel|tflite)$/i, OTHER_WEIGHTS.other],
]

const UNFINISHED = /\.(incomplete|part|partial|crdownload|download|aria2|tmp)$/i

/** Sub-folders that are looked into. */
const MAX_FOLDERS = 50

/**
 * What a folder holds where a model was expected.
 *
 * @param missing the file that was not found
 * @returns the error to throw instead of `missing`'s own; that itself where there is no more to say
 */
export async function explainFolder(directory: Directory, missing: CheckpointError): Promise<CheckpointError> {
  const names = (await directory.list?.())?.filter((name) => !name.startsWith("."))
  if (!names) return missing
  const fault = (more: Omit<CheckpointFault, "code">, code: CheckpointFault["code"] = "wrong_format") =>
    new CheckpointError({ code, file: directory.name, ...more, cause: missing })
  if (names.length === 0) return fault({ problem: "the folder is empty", advice: directory.advice }, "file_missing")

  const folders = await modelFolders(directory, names)
  if (folders.includes("original") && folders.length === 1) return fault(ORIGINAL)
  if (folders.length > 0) {
    const problem = "the folder holds no model itself, but a folder in it does"
    return fault({ problem, found: some(folders), advice: `give ${directory.name}/${folders[0]}` }, "file_missing")
  }
  if (names.some((name) => /\.safetensors$/i.test(name) && !isAdapter(name))) return missing
  if (names.some(isAdapter)) return fault({ ...ADAPTER, found: some(names) })
  const unfinished = names.filter((name) => UNFINISHED.test(name))
  if (unfinished.length > 0) {
    const problem = "the download of the weights is not finished"
    const advice = directory.advice ?? "let it finish, or start it again"
    return fault({ problem, found: some(unfinished), advice }, "file_missing")
  }
  for (const [pattern, format] of BY_NAME) {
    const found = names.filter((name) => pattern.test(name))
    if (found.length > 0) return fault({ ...format, found: some(found) })
  }
  return missing
}

/** @throws CheckpointError `wrong_format` when the tensors are named as OpenAI's own code names them (gpt_oss/torch/model.py) */
export function refuseOriginal(tensors: Iterable<string>, file: string): void {
  for (const name of tensors) {
    if (/^block\.\d+\.(attn|mlp)\./.test(name)) {
      throw new CheckpointError({ code: "wrong_format", file, tensor: name, ...ORIGINAL })
    }
  }
}

/** @throws CheckpointError `wrong_format` for a file of an adapter */
export function refuseAdapter(file: string): void {
  if (isAdapter(file)) throw new CheckpointError({ code: "wrong_format", file, ...ADAPTER })
}

/** Sub-folders with a config.json. */
async function modelFolders(directory: Directory, names: readonly string[]): Promise<string[]> {
  const folders = names.filter((name) => name.endsWith("/")).slice(0, MAX_FOLDERS)
  const holdsModel = async (folder: string) => {
    try {
      await (await directory.open(`${folder}config.json`)).close()
      return true
    } catch {
      return false
    }
  }
  const holds = await Promise.all(folders.map(holdsModel))
  return folders.filter((_, i) => holds[i]).map((name) => name.slice(0, -1))
}
