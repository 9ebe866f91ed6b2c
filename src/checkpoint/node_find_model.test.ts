import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { findModel, openModel } from "./node_find_model.js"
import { cacheFolder, hubCache, isRepositoryId, repositoryOf } from "./node_hub.js"

let root: string
const { HOME } = process.env
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "minerva-find-"))
  process.env.HOME = join(root, "home")
})
afterEach(async () => {
  process.env.HOME = HOME
  await rm(root, { recursive: true })
})

async function write(path: string, text = "{}"): Promise<string> {
  const file = join(root, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
  return file
}

const SNAPSHOT = "hub/models--openai--gpt-oss-20b/snapshots"
const env = () => ({ HF_HUB_CACHE: join(root, "hub") })
const find = (model: string) => findModel(model, env())
const at = (path: string) => join(root, path)

describe("a repository's name", () => {
  const id = "openai/gpt-oss-20b"

  it("is looked up in the Hugging Face cache, at the revision of refs/main", async () => {
    await write(`${SNAPSHOT}/aaa/config.json`)
    await write(`${SNAPSHOT}/bbb/config.json`)
    await utimes(at(`${SNAPSHOT}/aaa`), 1, 1)
    for (const revision of ["aaa", "bbb"]) {
      await write("hub/models--openai--gpt-oss-20b/refs/main", `${revision}\n`)
      const found = { name: id, folder: at(`${SNAPSHOT}/${revision}`) }
      expect(await find(id)).toEqual(found)
      for (const model of [`https://huggingface.co/${id}`, `${id}/`, `https://hf.co/${id}/tree/main`, `hf://${id}`]) {
        expect(await find(model)).toEqual(found)
      }
      expect(await find(at("hub/models--openai--gpt-oss-20b"))).toEqual(found)
      expect(await find(at(`${SNAPSHOT}/${revision}`))).toEqual(found)
    }
  })

  it.each<[string, () => Promise<unknown>]>([
    ["there is no refs/main", async () => {}],
    ["refs/main is of a snapshot that is gone", () => write("hub/models--openai--gpt-oss-20b/refs/main", "ccc")],
    [
      "the snapshot of refs/main has no config",
      async () => {
        await write("hub/models--openai--gpt-oss-20b/refs/main", "ccc")
        await write(`${SNAPSHOT}/ccc/README.md`)
      },
    ],
    ["refs/main points outside", () => write("hub/models--openai--gpt-oss-20b/refs/main", "../../../outside")],
  ])("takes the newest whole snapshot where %s", async (_, prepare) => {
    await write("outside/config.json")
    for (const [name, time] of Object.entries({ old: 1000, young: 2000 })) {
      await write(`${SNAPSHOT}/${name}/config.json`)
      await utimes(at(`${SNAPSHOT}/${name}`), time, time)
    }
    await prepare()
    expect((await find(id)).folder).toBe(at(`${SNAPSHOT}/young`))
  })

  it("is not misled by what else lies among the snapshots", async () => {
    await write(`${SNAPSHOT}/.DS_Store`, "x")
    await symlink("nothing", at(`${SNAPSHOT}/zzz`))
    await mkdir(at(`${SNAPSHOT}/aaa`))
    expect((await find(id)).folder).toBe(at(`${SNAPSHOT}/aaa`))
  })

  it("gives way to a folder of that name", async () => {
    await write(`${SNAPSHOT}/aaa/config.json`)
    await write(`${id}/config.json`)
    const before = process.cwd()
    process.chdir(root)
    try {
      expect(await find(id)).toEqual({ name: "gpt-oss-20b", folder: id })
    } finally {
      process.chdir(before)
    }
  })

  it.each(["home/.cache/mlx-models/gpt-oss-20b", "home/.lmstudio/models/openai/gpt-oss-20b"])(
    "is found in %s",
    async (path) => {
      await write(`${path}/config.json`)
      expect(await find(id)).toEqual({ name: "gpt-oss-20b", folder: at(path) })
      expect((await find("gpt-oss-20b").catch(() => null))?.folder).toBe(path.includes("mlx") ? at(path) : undefined)
    },
  )

  it("that is nowhere gets an error that says where it was looked for, what is there, and how to get it", async () => {
    await write("hub/models--mlx-community--gpt-oss-20b-MXFP4-Q8/snapshots/a/config.json")
    await expect(find(id)).rejects.toMatchObject({
      code: "file_missing",
      message: expect.stringMatching(
        /hub.*mlx-models\/gpt-oss-20b.*mlx-community\/gpt-oss-20b-MXFP4-Q8.*minerva pull openai\/gpt-oss-20b/,
      ),
    })
  })

  it("whose download was not finished gets an error that says how to go on", async () => {
    const again = /minerva pull openai\/gpt-oss-20b/
    process.env.HF_HUB_CACHE = join(root, "hub")
    try {
      await mkdir(at("hub/models--openai--gpt-oss-20b/snapshots"), { recursive: true })
      await expect(openModel(id)).rejects.toMatchObject({ code: "file_missing", message: expect.stringMatching(again) })
      await mkdir(at(`${SNAPSHOT}/aaa`))
      await expect(openModel(id)).rejects.toMatchObject({ code: "file_missing", message: expect.stringMatching(again) })
      await write(`${SNAPSHOT}/aaa/config.json`)
      await expect(openModel(id)).rejects.toMatchObject({ code: "file_missing", message: expect.stringMatching(again) })
      await symlink("../../blobs/none", at(`${SNAPSHOT}/aaa/model-00001-of-00001.safetensors`))
      const link =
        /model-00001-of-00001.safetensors: (.* lists this file, but )?the file is a link to one that is not there.*minerva pull/
      await expect(openModel(id)).rejects.toMatchObject({ code: "file_missing", message: expect.stringMatching(link) })
      await write(
        `${SNAPSHOT}/aaa/model.safetensors.index.json`,
        '{"weight_map": {"a": "model-00001-of-00001.safetensors"}}',
      )
      await expect(openModel(id)).rejects.toMatchObject({ code: "file_missing", message: expect.stringMatching(link) })
    } finally {
      delete process.env.HF_HUB_CACHE
    }
  })

  it("never leads out of the cache", async () => {
    await write("outside/config.json")
    const part = fc.constantFrom(
      "..",
      ".",
      "outside",
      "a",
      "--",
      "models--a",
      "\\",
      "~",
      "%2e%2e",
      "a\0b",
      "",
      "-",
      "a.git",
    )
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 5 }), async (parts) => {
        const model = `nowhere-${parts.join("/")}`
        await expect(find(model)).rejects.toMatchObject({ name: "CheckpointError" })
        const id = parts.join("/")
        if (!isRepositoryId(id)) return
        expect(dirname(resolve(at("hub"), cacheFolder(id)))).toBe(at("hub"))
        expect(repositoryOf(join("hub", cacheFolder(id)))).toBe(id)
      }),
      { numRuns: 300 },
    )
  })
})

it("a repository's name is what huggingface_hub takes for one", () => {
  // huggingface_hub/utils/_validators.py, `validate_repo_id`, whose own examples these are.
  for (const id of ["foo", "foo_bar", "foo-bar", "foo.bar", "foo/bar.baz", "123", "a/b_c"])
    expect(isRepositoryId(id)).toBe(true)
  const wrong = [
    "datasets/foo/bar",
    ".repo_id",
    "foo--bar",
    "foo.git",
    "foo..bar",
    "foo.",
    "-foo",
    "foo-",
    "a/.b",
    "a/b-",
    "a//b",
  ]
  for (const id of [...wrong, "x".repeat(97), "", "a b", "a\\b"]) expect(isRepositoryId(id)).toBe(false)
})

it("the cache is where huggingface_hub has it", () => {
  const home = process.env.HOME!
  // huggingface_hub/constants.py: HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, in this order.
  const all = { HF_HUB_CACHE: "/1", HUGGINGFACE_HUB_CACHE: "/2", HF_HOME: "/3", XDG_CACHE_HOME: "/4" }
  const { HF_HUB_CACHE: _1, ...second } = all
  const { HUGGINGFACE_HUB_CACHE: _2, ...third } = second
  const { HF_HOME: _3, ...fourth } = third
  expect([all, second, third, fourth, {}].map(hubCache)).toEqual([
    "/1",
    "/2",
    "/3/hub",
    "/4/huggingface/hub",
    join(home, ".cache/huggingface/hub"),
  ])
  expect(hubCache({ HF_HOME: "~/models" })).toBe(join(home, "models/hub"))
})

describe("a path", () => {
  it("may begin with ~, be a URL, or name a file of the folder", async () => {
    await write("home/m/config.json")
    await write("home/m/model.safetensors")
    await write("home/m/model.safetensors.index.json")
    const folder = at("home/m")
    for (const path of [
      "~/m",
      folder,
      pathToFileURL(folder).href,
      join(folder, "config.json"),
      `~/m/model.safetensors.index.json`,
    ]) {
      expect(await find(path)).toMatchObject({ name: "m" })
      expect(resolve((await find(path)).folder)).toBe(folder)
    }
    expect(await find("~/m/model.safetensors")).toEqual({ name: "m", folder, weights: "model.safetensors" })
    expect((await find("~")).folder).toBe(resolve(at("home")))
  })

  it.each([
    ["x.gguf", /GGUF/],
    ["model.bin", /Metal/],
    ["pytorch_model.bin", /PyTorch/],
    ["consolidated.pth", /PyTorch/],
    ["notes.txt", /holds no model/],
  ])("of the file %s is refused", async (name, says) => {
    const path = await write(name)
    await expect(find(path)).rejects.toMatchObject({ code: "wrong_format", message: expect.stringMatching(says) })
  })

  it("that is not there, or cannot be followed, is said to be so", async () => {
    await expect(find(at("a/b/c"))).rejects.toMatchObject({ code: "file_missing" })
    await expect(find("./nothing")).rejects.toMatchObject({ message: expect.stringContaining("no such folder") })
    await expect(find("")).rejects.toMatchObject({ code: "bad_path" })
    await expect(find("file://elsewhere/x")).rejects.toMatchObject({ code: "bad_path" })
    await expect(find("https://example.com/a/b/model")).rejects.toMatchObject({
      message: expect.stringContaining("address"),
    })
    const file = await write("file")
    await expect(find(join(file, "x"))).rejects.toMatchObject({ code: "file_missing" })
    await symlink("circle", at("circle"))
    await expect(find(at("circle"))).rejects.toMatchObject({
      code: "io",
      message: expect.stringContaining("in a circle (ELOOP)"),
    })
    await expect(find(at("x".repeat(300)))).rejects.toMatchObject({
      code: "io",
      message: expect.stringContaining("too long"),
    })
  })

  it("to a folder in which files cannot be opened is said to be so", async () => {
    await mkdir(at("m"))
    await symlink("config.json", at("m/config.json"))
    await expect(openModel(at("m"))).rejects.toMatchObject({
      code: "io",
      message: expect.stringContaining("config.json: the file cannot be opened: its symbolic links go in a circle"),
    })
  })
})
