import type { ListFileEntry } from "@huggingface/hub"
import * as z from "zod"
import { isAdapter } from "../checkpoint/weight_files.js"
import { HubError } from "./hub_error.js"

/** A file of a commit, and what its bytes are. */
export interface RepositoryFile {
  readonly path: string
  readonly size: number
  /** What the cache calls the blob: the sha256 of a large file, git's sha1 of a small one. */
  readonly etag: string
}

const git = z.stringFormat("git object", /^[0-9a-f]{40}$/)
const sha256 = z.stringFormat("sha256", /^[0-9a-f]{64}$/)
const size = z.number().int().nonnegative()
const entrySchema = z
  .object({ path: z.string(), size, oid: git, lfs: z.object({ oid: sha256, size }).nullish() })
  .transform(({ path, lfs, ...file }) => ({ path, size: lfs?.size ?? file.size, etag: lfs?.oid ?? file.oid }))

/**
 * @returns undefined for a folder
 * @throws z.ZodError for an entry whose ids are none: they become names of files
 */
export function repositoryFile(entry: ListFileEntry): RepositoryFile | undefined {
  return entry.type === "file" ? entrySchema.parse(entry) : undefined
}

/** What a model is opened with; in the order in which they are fetched. */
const NEEDED = [
  "config.json",
  "generation_config.json",
  "tokenizer_config.json",
  "tokenizer.json",
  "tokenizer.model",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
  "chat_template.json",
  "model.safetensors.index.json",
]

/**
 * The files that a model is run with: those above and safetensors, at the top of the repository. Names are taken from this list or
 * are plain words, so that none leads out of a folder.
 *
 * @throws HubError `no_model` when there is no config.json or there are no safetensors
 */
export function neededFiles(files: readonly RepositoryFile[], repository: string): RepositoryFile[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const weights = [...byPath.keys()].filter((path) => /^\w[\w.-]*\.safetensors$/.test(path) && !isAdapter(path)).sort()
  const config = byPath.get("config.json")
  if (config === undefined || weights.length === 0) throw noModel(files, repository, config !== undefined)
  return [...NEEDED, ...weights].flatMap((path) => byPath.get(path) ?? [])
}

function noModel(files: readonly RepositoryFile[], repository: string, hasConfig: boolean): HubError {
  const gguf = files.some(({ path }) => /\.gguf$/i.test(path))
  const adapter = files.some(({ path }) => isAdapter(path))
  const lacks = hasConfig ? "no safetensors" : "no config.json"
  const holds = gguf ? " but GGUF, llama.cpp's format" : adapter ? " but an adapter (LoRA)" : ""
  const advice = "pull a model in safetensors, such as openai/gpt-oss-20b or mlx-community/gpt-oss-20b-MXFP4-Q8"
  return new HubError({ code: "no_model", problem: `${repository} has ${lacks}${holds}`, advice })
}

export function totalSize(files: Iterable<RepositoryFile>): number {
  let sum = 0
  for (const { size } of files) sum += size
  return sum
}
