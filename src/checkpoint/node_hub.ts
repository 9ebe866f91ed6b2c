import type { Dirent } from "node:fs"
import { readdir, readFile, stat } from "node:fs/promises"
import { homedir } from "node:os"
import { basename, dirname, join, relative, resolve } from "node:path"

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * The folder of the Hugging Face cache, as huggingface_hub finds it (huggingface_hub, constants.py): HF_HUB_CACHE, else
 * HUGGINGFACE_HUB_CACHE, else `hub` in HF_HOME, which is `huggingface` in XDG_CACHE_HOME or ~/.cache by default.
 */
export function hubCache(env: Environment): string {
  const named = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE
  if (named) return expandHome(named)
  return join(hubHome(env), "hub")
}

/** The folder of the cache and of the token. */
export function hubHome(env: Environment): string {
  return expandHome(env.HF_HOME || join(env.XDG_CACHE_HOME || "~/.cache", "huggingface"))
}

/** `~` and `~/x`, which a shell leaves alone inside quotes and after `=`. */
export function expandHome(path: string): string {
  return path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path
}

/** `openai/gpt-oss-20b` and, from older days, `gpt2` (huggingface_hub, utils/_validators.py). */
export function isRepositoryId(text: string): boolean {
  return text.length <= 96 && /^\w[\w.-]*(\/\w[\w.-]*)?$/.test(text) && !/--|\.\.|\.git$|[.-](\/|$)/.test(text)
}

/** `openai/gpt-oss-20b@main`: a repository and the branch, tag or commit of it that is meant. */
export function splitRevision(text: string): { readonly repository: string; readonly revision?: string } {
  const at = text.indexOf("@")
  return at < 0 ? { repository: text } : { repository: text.slice(0, at), revision: text.slice(at + 1) }
}

/** The folder in which a cache keeps a repository: `models--openai--gpt-oss-20b`. */
export function cacheFolder(repository: string): string {
  return `models--${repository.replace("/", "--")}`
}

/** The repository of a folder of the cache or of one of its snapshots; undefined for other folders. */
export function repositoryOf(path: string): string | undefined {
  const folder = resolve(path)
  const root = basename(dirname(folder)) === "snapshots" ? dirname(dirname(folder)) : folder
  const [, name] = /^models--(.+)$/.exec(basename(root)) ?? []
  const repository = name?.replace("--", "/")
  return repository !== undefined && isRepositoryId(repository) ? repository : undefined
}

/** A commit of a repository as a cache keeps it. */
export interface Snapshot {
  readonly commit: string
  readonly folder: string
  /** Branches and tags that stand for it. */
  readonly refs: readonly string[]
  readonly hasConfig: boolean
  /** When it was last changed, in milliseconds. */
  readonly changed: number
}

/** The snapshots in a repository's folder of the cache: that of `main` first, then the newest. */
export async function snapshotsOf(root: string): Promise<Snapshot[]> {
  const names = await readdir(join(root, "snapshots")).catch((): string[] => [])
  const refs = await refsOf(root)
  const snapshots = await Promise.all(
    names.map(async (commit): Promise<Snapshot[]> => {
      const folder = join(root, "snapshots", commit)
      const itself = await stat(folder).catch(() => undefined)
      if (!itself?.isDirectory()) return []
      const config = await stat(join(folder, "config.json")).catch(() => undefined)
      // Compared with what is there: a ref's text never becomes part of a path.
      const named = refs.filter(([, text]) => text === commit).map(([ref]) => ref)
      return [{ commit, folder, refs: named, hasConfig: config !== undefined, changed: itself.mtimeMs }]
    }),
  )
  const isMain = ({ refs }: Snapshot) => Number(refs.includes("main"))
  return snapshots.flat().sort((a, b) => isMain(b) - isMain(a) || b.changed - a.changed)
}

/** Names of refs, and what they say. */
async function refsOf(root: string): Promise<[string, string][]> {
  const folder = join(root, "refs")
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((): Dirent[] => [])
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const texts = await Promise.all(files.map((file) => readFile(file, "utf8").catch(() => "")))
  return files.map((file, i) => [relative(folder, file).replaceAll("\\", "/"), texts[i].trim()])
}

/** Whether a snapshot is meant by a branch, a tag, a commit or its first seven digits or more. */
export function isOfRevision({ commit, refs }: Snapshot, revision: string): boolean {
  return (
    refs.includes(revision) || commit === revision || (/^[0-9a-f]{7,}$/.test(revision) && commit.startsWith(revision))
  )
}

/**
 * The snapshot to use of a repository's folder in the cache: that of `refs/main` if it holds a config.json, else the newest that
 * does.
 *
 * @param revision the one that is meant instead
 * @returns undefined when there is none
 */
export async function snapshotOf(root: string, revision?: string): Promise<string | undefined> {
  const all = await snapshotsOf(root)
  const meant = revision === undefined ? all : all.filter((snapshot) => isOfRevision(snapshot, revision))
  return (meant.find(({ hasConfig }) => hasConfig) ?? meant[0])?.folder
}

/** Where mlx-lm's converted models are kept by habit. */
export function mlxModels(env: Environment): string {
  return join(expandHome(env.XDG_CACHE_HOME || "~/.cache"), "mlx-models")
}

/** Repositories in a cache. */
export async function cachedRepositories(cache: string): Promise<string[]> {
  const names = await readdir(cache).catch((): string[] => [])
  return names.map((name) => repositoryOf(join(cache, name))).filter((name) => name !== undefined)
}
