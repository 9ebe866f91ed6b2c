import { lstat, readdir, realpath, rm } from "node:fs/promises"
import { join } from "node:path"
import { nearestNames } from "../checkpoint/errors.js"
import {
  cachedRepositories,
  cacheFolder,
  type Environment,
  hubCache,
  isOfRevision,
  snapshotsOf,
} from "../checkpoint/node_hub.js"
import { HubError } from "./hub_error.js"
import { withLock } from "./node_lock.js"

/** What is going to be taken out of the cache. */
export interface Removal {
  readonly repository: string
  /** Folders and files, in the order in which they go. */
  readonly paths: readonly string[]
  /** Bytes that this frees. */
  readonly bytes: number
  /** Blobs that stay because another snapshot leads to them. */
  readonly shared: number
}

/**
 * What removing a repository, or one revision of it, takes away: refs, snapshots and the blobs that no other snapshot of the cache
 * leads to; of a whole repository unfinished downloads too.
 *
 * @param revision a branch, a tag or a commit; all by default
 * @throws HubError `not_found`
 */
export async function planRemoval(
  repository: string,
  revision?: string,
  env: Environment = process.env,
): Promise<Removal> {
  const cache = hubCache(env)
  const repositories = await cachedRepositories(cache)
  if (!repositories.includes(repository)) throw noRepository(repository, cache, repositories)
  const root = join(cache, cacheFolder(repository))
  const snapshots = await snapshotsOf(root)
  const gone = snapshots.filter((snapshot) => revision === undefined || isOfRevision(snapshot, revision))
  if (gone.length === 0 && revision !== undefined) {
    const found = snapshots.flatMap(({ commit, refs }) => [...refs, commit]).join(", ") || "none"
    const problem = `revision ${revision} of ${repository} is not in the cache`
    throw new HubError({ code: "not_found", problem, advice: `give one that is: ${found}` })
  }
  const folders = gone.map(({ folder }) => folder)
  const all = await Promise.all(repositories.map((name) => snapshotsOf(join(cache, cacheFolder(name)))))
  const others = all.flat().flatMap(({ folder }) => (folders.includes(folder) ? [] : folder))
  const inUse = await filesOf(others)
  const itsOwn = await filesOf(folders)
  const blobs = await blobsOf(root)
  const free = blobs.filter(({ real }) => !inUse.has(real) && (revision === undefined || itsOwn.has(real)))
  const shared = blobs.filter(({ real }) => inUse.has(real) && itsOwn.has(real)).length
  const refs = gone.flatMap((snapshot) => snapshot.refs.map((ref) => join(root, "refs", ref)))
  const goneBlobs = free.map(({ path }) => path)
  const isEmptied = gone.length === snapshots.length && free.length === blobs.length
  const plain = [...itsOwn].filter((path) => !inUse.has(path) && folders.some((folder) => path.startsWith(folder)))
  return {
    repository,
    paths: isEmptied ? [root] : [...refs, ...folders, ...goneBlobs],
    bytes: await sizeOf([...goneBlobs, ...plain]),
    shared,
  }
}

/** Takes out of the cache what was planned. @throws HubError `in_use` while the repository is being pulled */
export async function remove({ repository, paths }: Removal, env: Environment = process.env): Promise<void> {
  const name = cacheFolder(repository)
  await withLock(join(hubCache(env), name), name, async () => {
    for (const path of paths) await rm(path, { recursive: true, force: true })
  })
}

/** The files that snapshots hold or lead to. */
async function filesOf(folders: readonly string[]): Promise<Set<string>> {
  const files = new Set<string>()
  for (const folder of folders) {
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isDirectory())
        await realpath(join(entry.parentPath, entry.name)).then(
          (path) => files.add(path),
          () => {},
        )
    }
  }
  return files
}

async function blobsOf(root: string): Promise<{ path: string; real: string }[]> {
  const names = await readdir(join(root, "blobs")).catch((): string[] => [])
  const paths = names.map((name) => join(root, "blobs", name))
  return Promise.all(paths.map(async (path) => ({ path, real: await realpath(path).catch(() => path) })))
}

/** Of files, those with two names counted once. */
async function sizeOf(paths: readonly string[]): Promise<number> {
  const sizes = new Map<string, number>()
  for (const path of paths) {
    const { dev, ino, size } = await lstat(path)
    sizes.set(`${dev}:${ino}`, size)
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0)
}

function noRepository(repository: string, cache: string, repositories: readonly string[]): HubError {
  const near = nearestNames(repository, repositories, 5).join(", ")
  const advice = near ? `give one that is: ${near}` : "see minerva models"
  return new HubError({ code: "not_found", problem: `${repository} is not in the Hugging Face cache ${cache}`, advice })
}
