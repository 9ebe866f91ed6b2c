import { copyFile, link, mkdir, rename, rm, symlink, writeFile } from "node:fs/promises"
import { dirname, join, relative } from "node:path"
import { holds } from "./node_blob.js"
import type { RepositoryFile } from "./repository_files.js"

/**
 * Puts blobs at their places in a snapshot: links to them; the files themselves where there are no links, as on Windows without the
 * right to make them and on some network drives and memory cards.
 */
export async function placeFiles(files: readonly RepositoryFile[], blobs: string, snapshot: string): Promise<void> {
  await mkdir(snapshot, { recursive: true })
  const moved = new Map<string, string>()
  for (const file of files) {
    const path = join(snapshot, file.path)
    if (await holds(path, file)) continue
    const blob = join(blobs, file.etag)
    const temporary = `${path}.new`
    await rm(temporary, { force: true })
    const before = moved.get(file.etag)
    if (before !== undefined) await copyFile(before, temporary)
    else if (!(await linked(blob, temporary))) {
      await rename(blob, temporary)
      moved.set(file.etag, path)
    }
    await rename(temporary, path)
  }
}

/** Relative, so that the cache can be moved; hard where symbolic ones are not allowed. */
async function linked(blob: string, path: string): Promise<boolean> {
  return symlink(relative(dirname(path), blob), path)
    .catch(() => link(blob, path))
    .then(() => true)
    .catch(() => false)
}

/** Writes a small file so that it is there whole or not at all. */
export async function writeWhole(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const temporary = `${path}.new`
  await writeFile(temporary, text)
  await rename(temporary, path)
}
