import type { Stats } from "node:fs"
import { readdir, stat } from "node:fs/promises"
import { homedir } from "node:os"
import { basename, dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { type Checkpoint, openCheckpoint } from "./checkpoint.js"
import { CheckpointError, nearestNames, quote } from "./errors.js"
import { OTHER_WEIGHTS } from "./foreign_files.js"
import { nodeDirectory } from "./node_directory.js"
import { systemAdvice, systemReason } from "./node_errors.js"
import {
  cachedRepositories,
  cacheFolder,
  type Environment,
  expandHome,
  hubCache,
  isRepositoryId,
  mlxModels,
  repositoryOf,
  snapshotOf,
  splitRevision,
} from "./node_hub.js"
import { some } from "./weight_files.js"

/** Where on this machine a model is. */
export interface FoundModel {
  /** A repository's id for a model of the Hugging Face cache, else the folder's name. */
  readonly name: string
  readonly folder: string
  /** The safetensors file that was named, if one was: it, or the set that it belongs to, holds the weights. */
  readonly weights?: string
}

/**
 * Finds the model that a user names:
 *
 * - a folder, with `~` for the home folder, or as a file:// URL; a `.safetensors` file, index or config.json in it;
 * - a folder of the Hugging Face cache (`models--openai--gpt-oss-20b`), whose current snapshot is meant;
 * - a repository of Hugging Face (`openai/gpt-oss-20b`, with `@` and a revision after it, or its address): looked up in that
 *   cache, then in LM Studio's folders and in ~/.cache/mlx-models, where its last part is enough. Nothing is downloaded, and a
 *   local folder of that name wins.
 *
 * @throws CheckpointError `file_missing`, saying where it was looked for and how to get it; `wrong_format` for a file that is
 * no model; `io` for what cannot be read
 */
export async function findModel(model: string, env: Environment = process.env): Promise<FoundModel> {
  const path = localPath(model)
  const there = await look(path)
  if (there?.isDirectory()) return (await cached(path)) ?? { name: nameOf(path), folder: path }
  if (there) return modelOfFile(path)
  const { repository, revision } = repositoryNamed(model)
  if (isRepositoryId(repository)) return findRepository(repository, revision, env)
  throw new CheckpointError({
    code: "file_missing",
    file: quote(model),
    problem: /^https?:/.test(model) ? "a model cannot be run from an address" : "there is no such folder",
    expected: "a folder with config.json and safetensors, or the name of a repository such as openai/gpt-oss-20b",
    advice: /^https?:/.test(model) ? "download it, from the Hub with minerva pull ORG/NAME" : "check the path",
  })
}

/** The repository that a text may name: `openai/gpt-oss-20b`, with `@` and a revision after it, or as its address. */
export function repositoryNamed(model: string): ReturnType<typeof splitRevision> {
  const name = model.replace(/^(https?:\/\/)?(www\.)?(huggingface\.co|hf\.co)\/|^hf:\/\//, "")
  const [id] = /^[^/]+\/[^/]+(?=\/(tree|blob|resolve)\/)/.exec(name) ?? [name.replace(/\/$/, "")]
  return splitRevision(id)
}

/** Opens the model that a user names: see {@link findModel}, whose errors and those of `openCheckpoint` it throws. */
export async function openModel(model: string): Promise<FoundModel & { readonly checkpoint: Checkpoint }> {
  const found = await findModel(model)
  const checkpoint = await openCheckpoint(nodeDirectory(found.folder), { weights: found.weights })
  return { ...found, checkpoint }
}

function localPath(model: string): string {
  if (model === "") {
    throw new CheckpointError({ code: "bad_path", problem: "the name of the model is empty", expected: "a folder" })
  }
  if (!/^file:/i.test(model)) return expandHome(model)
  try {
    return fileURLToPath(model)
  } catch (cause) {
    const expected = "a file:// URL of this machine, such as file:///home/me/model"
    throw new CheckpointError({ code: "bad_path", expected, found: quote(model), cause })
  }
}

/** @returns undefined when there is nothing */
async function look(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ERR_INVALID_ARG_VALUE") return undefined
    const problem = `the model cannot be read: ${systemReason(cause)}`
    throw new CheckpointError({ code: "io", file: quote(path), problem, advice: systemAdvice(cause), cause })
  }
}

function nameOf(folder: string): string {
  return repositoryOf(folder) ?? basename(resolve(folder))
}

/** The snapshot to use when `path` is a repository's folder in a cache. */
async function cached(path: string, revision?: string): Promise<FoundModel | undefined> {
  const entries = await readdir(path).catch((): string[] => [])
  if (!entries.includes("snapshots") || entries.includes("config.json")) return undefined
  const name = nameOf(path)
  const folder = await snapshotOf(path, revision)
  if (folder) return { name, folder }
  const named = `${repositoryOf(path) ?? "ORG/NAME"}${revision === undefined ? "" : `@${revision}`}`
  throw new CheckpointError({
    code: "file_missing",
    file: path,
    problem:
      revision === undefined
        ? "this folder of the Hugging Face cache holds no snapshot: its download was not finished"
        : `this folder of the Hugging Face cache holds no snapshot of ${quote(revision)}`,
    advice: `run minerva pull ${named}`,
  })
}

function modelOfFile(path: string): FoundModel {
  const folder = dirname(path)
  const file = basename(path)
  const name = nameOf(folder)
  if (/\.safetensors$/i.test(file)) return { name, folder, weights: file }
  if (file.endsWith(".safetensors.index.json") || file === "config.json") return { name, folder }
  const foreign = /\.gguf$/i.test(file)
    ? OTHER_WEIGHTS.gguf
    : file === "model.bin"
      ? OTHER_WEIGHTS.metal
      : /\.(bin|pth?|ckpt|pkl)$/i.test(file)
        ? OTHER_WEIGHTS.pytorch
        : { problem: "this is a file that holds no model", advice: "give the folder of a model" }
  throw new CheckpointError({ code: "wrong_format", file: path, ...foreign })
}

async function findRepository(id: string, revision: string | undefined, env: Environment): Promise<FoundModel> {
  const cache = hubCache(env)
  const root = join(cache, cacheFolder(id))
  if ((await look(root))?.isDirectory()) {
    const found = await cached(root, revision)
    if (found) return found
  }
  const home = homedir()
  const others = [
    join(home, ".lmstudio", "models", ...id.split("/")),
    join(home, ".cache", "lm-studio", "models", ...id.split("/")),
    join(mlxModels(env), id.split("/").at(-1) ?? id),
  ]
  // These keep one revision, and do not say which.
  for (const folder of revision === undefined ? others : [])
    if ((await look(folder))?.isDirectory()) return { name: nameOf(folder), folder }
  const named = revision === undefined ? id : `${id}@${revision}`
  const near = nearestNames(id, await cachedRepositories(cache), 5)
  throw new CheckpointError({
    code: "file_missing",
    file: id,
    problem: `there is no folder of this name, and the model is not in the Hugging Face cache ${cache}, nor in ${some(others)}`,
    found: near.length > 0 ? `in the cache ${near.join(", ")}` : undefined,
    advice: `${id.includes("/") ? `get it with minerva pull ${named}` : "give the whole name, such as openai/gpt-oss-20b"}, or give the model's folder`,
  })
}
