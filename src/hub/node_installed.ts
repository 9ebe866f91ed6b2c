import type { Dirent } from "node:fs"
import { lstat, readdir } from "node:fs/promises"
import { join } from "node:path"
import {
  cachedRepositories,
  cacheFolder,
  type Environment,
  hubCache,
  isRepositoryId,
  mlxModels,
  snapshotOf,
} from "../checkpoint/node_hub.js"

/** A model on this machine. */
export interface InstalledModel {
  /** As `findModel` takes it. */
  readonly name: string
  readonly place: "hub" | "mlx-models"
  /** Where it is opened; undefined where no revision of it is whole. */
  readonly folder?: string
  /** What it takes on disk, all revisions and unfinished downloads included. */
  readonly bytes: number
  /** Bytes of downloads that were begun. */
  readonly unfinished: number
}

/** The models in the Hugging Face cache and in ~/.cache/mlx-models, by name. */
export async function installedModels(env: Environment = process.env): Promise<InstalledModel[]> {
  const cache = hubCache(env)
  const models: InstalledModel[] = []
  for (const name of await cachedRepositories(cache)) {
    const root = join(cache, cacheFolder(name))
    const folder = await snapshotOf(root)
    models.push({ name, place: "hub", folder, ...(await sizes(root)) })
  }
  const others = mlxModels(env)
  for (const entry of await readdir(others, { withFileTypes: true }).catch((): Dirent[] => [])) {
    if (entry.isFile() || entry.name.startsWith(".")) continue
    const folder = join(others, entry.name)
    // By its name alone where findModel takes that for one.
    const name = isRepositoryId(entry.name) ? entry.name : folder
    models.push({ name, place: "mlx-models", folder, ...(await sizes(folder)) })
  }
  return models.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }))
}

/** Of all files below a folder; links count nothing, for what they lead to is counted where it is. */
async function sizes(folder: string): Promise<{ bytes: number; unfinished: number }> {
  let [bytes, unfinished] = [0, 0]
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true }).catch((): Dirent[] => [])) {
    if (!entry.isFile()) continue
    const size = (await lstat(join(entry.parentPath ?? entry.path, entry.name)).catch(() => undefined))?.size ?? 0
    bytes += size
    if (entry.name.endsWith(".incomplete")) unfinished += size
  }
  return { bytes, unfinished }
}
