import { link, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { etagOf } from "../../test/hub/fake_hub.js"
import { placeFiles } from "./node_snapshot.js"

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>()
  return { ...real, symlink: vi.fn(real.symlink), link: vi.fn(real.link) }
})

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "minerva-snapshot-"))
})
afterEach(async () => {
  vi.restoreAllMocks()
  await rm(root, { recursive: true })
})

const refused = () => Promise.reject(Object.assign(new Error("EPERM"), { code: "EPERM" }))

it.each([
  ["links", 0, { isLink: true, names: 1, blobs: 2 }],
  ["hard links where there are no symbolic ones", 1, { isLink: false, names: 2, blobs: 2 }],
  ["the files themselves where there are neither", 2, { isLink: false, names: 1, blobs: 0 }],
])("a snapshot has %s", async (_, refusals, expected) => {
  if (refusals > 0) vi.mocked(symlink).mockImplementation(refused)
  if (refusals > 1) vi.mocked(link).mockImplementation(refused)
  const [blobs, snapshot] = [join(root, "blobs"), join(root, "snapshots", "abc")]
  await mkdir(blobs)
  const contents = { "config.json": "{}", "tokenizer.json": "{}", "model.safetensors": "weights" }
  const files = Object.entries(contents).map(([path, text]) => {
    const content = Buffer.from(text)
    return { path, size: content.length, etag: etagOf({ path, content }) }
  })
  for (const { path, etag } of files) await writeFile(join(blobs, etag), contents[path as keyof typeof contents])
  await placeFiles(files, blobs, snapshot)
  // The second time there is nothing to do.
  await placeFiles(files, blobs, snapshot)
  for (const [path, text] of Object.entries(contents)) expect(await readFile(join(snapshot, path), "utf8")).toBe(text)
  const stats = await lstat(join(snapshot, "model.safetensors"))
  const found = { isLink: stats.isSymbolicLink(), names: stats.nlink, blobs: (await readdir(blobs)).length }
  expect(found).toEqual(expected)
  expect((await readdir(snapshot)).sort()).toEqual(Object.keys(contents).sort())
})
