import { readdir, readFile, stat } from "node:fs/promises"
import { homedir } from "node:os"
import { basename, dirname, join, resolve } from "node:path"

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * The folder of the Hugging Face cache, as huggingface_hub finds it (huggingface_hub, constants.py): HF_HUB_CACHE, else
 * HUGGINGFACE_HUB_CACHE, else `hub` in HF_HOME, which is `huggingface` in XDG_CACHE_HOME or ~/.cache by default.
 */
export function hubCache(env: Environment): string {
  const named = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE
  if (named) return expandHome(named)
  return join(expandHome(env.HF_HOME || join(env.XDG_CACHE_HOME || "~/.cache", "huggingface")), "hub")
}

/** `~` and `~/x`, which a shell leaves alone inside quotes and after `=`. */
export function expandHome(path: string): string {
  return path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path
}

/** `openai/gpt-oss-20b` and, from older days, `gpt2` (huggingface_hub, utils/_validators.py). */
export function isRepositoryId(text: string): boolean {
  return text.length <= 96 && /^\w[\w.-]*(\/\w[\w.-]*)?$/.test(text) && !/--|\.\.|\.git$|[.-](\/|$)/.test(text)
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

/**
 * The snapshot to use of a repository's folder in the cache: that of `refs/main` if it holds a config.json, else the newest
 * that does.
 *
 * @returns undefined when there is none
 */
export async function snapshotOf(root: string): Promise<string | undefined> {
  const main = await readFile(join(root, "refs", "main"), "utf8").catch(() => "")
  const names = await readdir(join(root, "snapshots")).catch((): string[] => [])
  const snapshots = await Promise.all(
    names.map(async (name) => {
      const folder = join(root, "snapshots", name)
      const config = await stat(join(folder, "config.json")).catch(() => undefined)
      const itself = await stat(folder).catch(() => undefined)
      // Compared with what is there: a ref's text never becomes part of a path.
      const isMain = name === main.trim()
      return {
        folder,
        hasConfig: config !== undefined,
        isMain,
        isFolder: itself?.isDirectory(),
        changed: itself?.mtimeMs ?? 0,
      }
    }),
  )
  const folders = snapshots.filter(({ isFolder }) => isFolder)
  folders.sort((a, b) => Number(b.isMain) - Number(a.isMain) || b.changed - a.changed)
  return (folders.find(({ hasConfig }) => hasConfig) ?? folders[0])?.folder
}

/** Repositories in a cache. */
export async function cachedRepositories(cache: string): Promise<string[]> {
  const names = await readdir(cache).catch((): string[] => [])
  return names.map((name) => repositoryOf(join(cache, name))).filter((name) => name !== undefined)
}
