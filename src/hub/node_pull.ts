import { mkdir, readFile, statfs } from "node:fs/promises"
import { dirname, join } from "node:path"
import { cacheFolder, type Environment, hubCache, isRepositoryId } from "../checkpoint/node_hub.js"
import { checkRoom, fetchBlob, holds, partialSize } from "./node_blob.js"
import { HubClient } from "./hub_client.js"
import { HubError } from "./hub_error.js"
import { inParallel } from "./in_parallel.js"
import { withLock } from "./node_lock.js"
import { placeFiles, writeWhole } from "./node_snapshot.js"
import { hubSettings } from "./node_settings.js"
import { PATIENCE, type Patience } from "./patience.js"
import { neededFiles, type RepositoryFile, totalSize } from "./repository_files.js"

/** Files that are fetched at once. */
const AT_ONCE = 4

/** The branch that is meant where none is named. */
const MAIN = "main"

export interface PullOptions {
  /** A branch, a tag or a commit; `main` by default. */
  readonly revision?: string
  readonly signal?: AbortSignal
  /** Told of the bytes that are there, of those in all, earlier downloads included. */
  readonly onProgress?: (done: number, total: number) => void
  /** Told once what is going to be fetched, and where to. */
  readonly onStart?: (pull: PullPlan) => void
  /** Told of failures that are waited out. */
  readonly onWait?: (reason: string, ms: number) => void
  /** Throws for a config.json of a model that is not wanted, before its weights are fetched. */
  readonly check?: (config: unknown) => void
  readonly patience?: Patience
}

export interface PullPlan {
  readonly commit: string
  readonly files: number
  readonly bytes: number
  /** Of these, what has to be fetched. */
  readonly missing: number
  readonly cache: string
}

export interface Pulled {
  readonly repository: string
  readonly commit: string
  /** Where the model is: a snapshot in the cache. */
  readonly folder: string
  readonly bytes: number
  /** Of these, what this pull fetched. */
  readonly fetched: number
}

/**
 * Brings a model from the Hub into the cache, in huggingface_hub's layout. Files get their names once they are whole and verified,
 * the snapshot its files once all are there, `refs` the commit after that: a model in use stays whole until the new one is. What was
 * interrupted is gone on with by the next call.
 *
 * @throws HubError; the signal's reason
 */
export async function pull(
  repository: string,
  options: PullOptions = {},
  env: Environment = process.env,
): Promise<Pulled> {
  const { revision = MAIN, patience = PATIENCE, onWait, onStart, check } = options
  checkNames(repository, revision)
  const settings = await hubSettings(env)
  const cache = hubCache(env)
  const root = join(cache, cacheFolder(repository))
  return withLock(root, cacheFolder(repository), async (lost) => {
    const signal = AbortSignal.any([lost, options.signal ?? new AbortController().signal])
    const persistence = { patience, signal, onWait }
    const client = new HubClient({ ...settings, repository, revision }, persistence)
    const commit = await client.commit().catch((error) => withSuggestions(error, client))
    const files = neededFiles(await client.files(commit), repository)
    const blobs = join(root, "blobs")
    const snapshot = join(root, "snapshots", commit)
    await mkdir(blobs, { recursive: true })
    await mkdir(dirname(snapshot), { recursive: true })

    const missing = await missingFiles(files, blobs, snapshot)
    const total = totalSize(files)
    const toFetch = totalSize(missing) - (await sum(missing, (file) => partialSize(blobs, file)))
    const { bavail, bsize, blocks } = await statfs(blobs)
    // Some network drives do not say.
    if (blocks > 0) checkRoom(cache, toFetch, bavail * bsize)
    onStart?.({ commit, files: files.length, bytes: total, missing: toFetch, cache })

    let done = total - toFetch
    const onBytes = (more: number) => {
      done += more
      options.onProgress?.(done, total)
    }
    const fetchOne = (file: RepositoryFile, signal: AbortSignal) =>
      fetchBlob(client, commit, file, blobs, { ...persistence, signal }, onBytes)
    const [config, ...others] = files
    if (missing.includes(config)) await fetchOne(config, signal)
    check?.(await readConfig([join(blobs, config.etag), join(snapshot, config.path)]))
    await inParallel(
      missing.filter((file) => others.includes(file)),
      AT_ONCE,
      signal,
      fetchOne,
    )

    // config.json last: with it the folder is a model.
    await placeFiles([...others, config], blobs, snapshot)
    if (revision !== commit) await writeWhole(join(root, "refs", revision), commit)
    return { repository, commit, folder: snapshot, bytes: total, fetched: toFetch }
  })
}

function checkNames(repository: string, revision: string): void {
  const advice = "give ORG/NAME, such as openai/gpt-oss-20b, or ORG/NAME@REVISION"
  if (!isRepositoryId(repository) || !repository.includes("/")) {
    throw new HubError({
      code: "bad_name",
      problem: `${JSON.stringify(repository)} is no name of a repository`,
      advice,
    })
  }
  // It becomes a path below refs/.
  if (!/^\w[\w.+-]*(\/\w[\w.+-]*)*$/.test(revision) || /\.\.|\.lock$/.test(revision) || revision.length > 200) {
    throw new HubError({ code: "bad_name", problem: `${JSON.stringify(revision)} is no name of a revision`, advice })
  }
}

async function withSuggestions(error: unknown, client: HubClient): Promise<never> {
  if (!(error instanceof HubError) || error.code !== "not_found") throw error
  const names = await client.similar()
  if (names.length === 0) throw error
  throw new HubError({ ...error.fault, advice: `${error.fault.advice}; like it there are ${names.join(", ")}` })
}

/** Files that are neither a blob nor in the snapshot, each blob once. */
async function missingFiles(files: readonly RepositoryFile[], blobs: string, snapshot: string) {
  const missing = new Map<string, RepositoryFile>()
  for (const file of files) {
    const isHere = (await holds(join(blobs, file.etag), file)) || (await holds(join(snapshot, file.path), file))
    if (!isHere) missing.set(file.etag, file)
  }
  return [...missing.values()]
}

async function readConfig(paths: readonly string[]): Promise<unknown> {
  for (const path of paths) {
    const text = await readFile(path, "utf8").catch(() => undefined)
    if (text === undefined) continue
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw new HubError({ code: "no_model", problem: `${path} is no JSON`, advice: "pull another model", cause })
    }
  }
}

async function sum<T>(items: readonly T[], of: (item: T) => Promise<number>): Promise<number> {
  let result = 0
  for (const item of items) result += await of(item)
  return result
}
