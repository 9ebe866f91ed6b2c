import { existsSync } from "node:fs"
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"
import { afterEach, beforeEach, expect, it } from "vitest"
import { installedModels } from "./node_installed.js"
import { planRemoval, remove } from "./node_remove.js"

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "minerva-remove-"))
})
afterEach(() => rm(root, { recursive: true }))

const env = () => ({ HF_HUB_CACHE: join(root, "hub"), XDG_CACHE_HOME: root })
const at = (path: string) => join(root, "hub", path)

async function keep(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
}

/** A file of a snapshot, as a link to a blob. */
async function keepLinked(repository: string, commit: string, file: string, blob: string, owner = repository) {
  const path = at(`models--${repository}/snapshots/${commit}/${file}`)
  await mkdir(dirname(path), { recursive: true })
  await symlink(relative(dirname(path), at(`models--${owner}/blobs/${blob}`)), path)
}

/** Two revisions of a/b that share a blob, and c/d, which has one of a/b's too. */
async function twoRepositories(): Promise<void> {
  const blobs = { old: 10, both: 200, new: 3000, lent: 40_000 }
  for (const [name, size] of Object.entries(blobs)) await keep(at(`models--a--b/blobs/${name}`), "x".repeat(size))
  await keep(at("models--a--b/blobs/started.incomplete"), "x".repeat(500_000))
  for (const [commit, files] of Object.entries({ c1: ["old", "both"], c2: ["both", "new", "lent"] })) {
    for (const blob of files) await keepLinked("a--b", commit, blob === "both" ? "config.json" : blob, blob)
  }
  await keep(at("models--a--b/refs/main"), "c2")
  await keep(at("models--a--b/refs/tags/v1"), "c1")
  await keepLinked("c--d", "c3", "config.json", "lent", "a--b")
}

it("a revision goes with the blobs that are its own", async () => {
  await twoRepositories()
  const removal = await planRemoval("a/b", "tags/v1", env())
  expect(removal).toMatchObject({ bytes: 10, shared: 1 })
  await remove(removal, env())
  expect((await readdir(at("models--a--b/blobs"))).sort()).toEqual(["both", "lent", "new", "started.incomplete"])
  expect(await readdir(at("models--a--b/snapshots"))).toEqual(["c2"])
  expect(existsSync(at("models--a--b/refs/tags/v1"))).toBe(false)
  expect((await readFile(at("models--a--b/snapshots/c2/config.json"))).length).toBe(200)
})

it("a repository goes but for what another one uses", async () => {
  await twoRepositories()
  const removal = await planRemoval("a/b", undefined, env())
  expect(removal).toMatchObject({ bytes: 10 + 200 + 3000 + 500_000, shared: 1 })
  await remove(removal, env())
  expect(await readdir(at("models--a--b/blobs"))).toEqual(["lent"])
  expect(await readdir(at("models--a--b/snapshots"))).toEqual([])
  expect((await readFile(at("models--c--d/snapshots/c3/config.json"))).length).toBe(40_000)
  await rm(at("models--c--d"), { recursive: true })
  await remove(await planRemoval("a/b", undefined, env()), env())
  expect(existsSync(at("models--a--b"))).toBe(false)
})

it("files in snapshots count where they are no links, and what links lead to outside stays", async () => {
  await keep(join(root, "outside"), "untouched")
  await keep(at("models--a--b/snapshots/c1/config.json"), "x".repeat(70))
  await symlink(join(root, "outside"), at("models--a--b/snapshots/c1/model.safetensors"))
  const removal = await planRemoval("a/b", undefined, env())
  expect(removal.bytes).toBe(70)
  await remove(removal, env())
  expect(existsSync(at("models--a--b"))).toBe(false)
  expect(await readFile(join(root, "outside"), "utf8")).toBe("untouched")
})

it("what is not there is said, with what is", async () => {
  await twoRepositories()
  const says = (text: string) => ({ code: "not_found", message: expect.stringContaining(text) })
  await expect(planRemoval("a/x", undefined, env())).rejects.toMatchObject(says("a/b"))
  await expect(planRemoval("../hub", undefined, env())).rejects.toMatchObject(says("not in the Hugging Face cache"))
  await expect(planRemoval("a/b", "v9", env())).rejects.toMatchObject(says("main, c2, tags/v1, c1"))
})

it("not while it is being pulled", async () => {
  await twoRepositories()
  const { hostname } = await import("node:os")
  await keep(at(".locks/models--a--b/minerva.lock"), JSON.stringify({ id: "x", pid: process.pid, host: hostname() }))
  const removal = await planRemoval("a/b", undefined, env())
  await expect(remove(removal, env())).rejects.toMatchObject({ code: "in_use" })
  expect(existsSync(at("models--a--b/blobs/old"))).toBe(true)
})

it("what is installed is listed with its size on disk and what is unfinished", async () => {
  await twoRepositories()
  await keep(at("models--e--f/blobs/x.incomplete"), "x".repeat(60))
  await keep(at("datasets--g--h/blobs/x"), "x")
  await keep(join(root, "mlx-models/mine/config.json"), "{}")
  await keep(join(root, "mlx-models/with space/config.json"), "{}")
  const models = await installedModels(env())
  const [mine, spaced] = ["mine", "with space"].map((name) => join(root, "mlx-models", name))
  const refs = "c2".length + "c1".length
  expect(models).toEqual([
    { name: spaced, place: "mlx-models", folder: spaced, bytes: 2, unfinished: 0 },
    { name: "a/b", place: "hub", folder: at("models--a--b/snapshots/c2"), bytes: 543_210 + refs, unfinished: 500_000 },
    { name: "c/d", place: "hub", folder: at("models--c--d/snapshots/c3"), bytes: 0, unfinished: 0 },
    { name: "e/f", place: "hub", folder: undefined, bytes: 60, unfinished: 60 },
    { name: "mine", place: "mlx-models", folder: mine, bytes: 2, unfinished: 0 },
  ])
})
