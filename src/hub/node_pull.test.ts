import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, truncate, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"
import { scanCacheDir } from "@huggingface/hub"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import {
  COMMIT,
  etagOf,
  type FakeFile,
  FakeHub,
  type Fault,
  REPOSITORY,
  smallRepository,
} from "../../test/hub/fake_hub.js"
import { findModel } from "../checkpoint/node_find_model.js"
import { holds } from "./node_blob.js"
import { type PullOptions, pull } from "./node_pull.js"
import type { Patience } from "./patience.js"

const TOKEN = "hf_secret"
const HASTE: Patience = { failures: 4, first: 1, longest: 2, silence: 1000, asked: 3000 }

let hub: FakeHub
let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "minerva-pull-"))
  hub = await FakeHub.open(smallRepository())
})
afterEach(async () => {
  await hub.close()
  await rm(root, { recursive: true })
})

const env = () => ({ HF_HUB_CACHE: join(root, "hub"), HF_HOME: root, HF_ENDPOINT: hub.url, HF_TOKEN: TOKEN })
const get = (options: PullOptions = {}, more: Record<string, string | undefined> = {}) =>
  pull(REPOSITORY, { patience: HASTE, ...options }, { ...env(), ...more })
const folder = () => join(root, "hub", "models--someone--some-model")
const needed = () => hub.files.filter(({ path }) => /^[^/]*\.(json|safetensors)$/.test(path))
const fileRequests = () => hub.seen.filter(({ url }) => !url.startsWith("/api/") && !url.includes("resolve"))
const largest = () => hub.files[6]
const partial = (file: FakeFile) => join(folder(), "blobs", `${etagOf(file)}.incomplete`)
const keep = async (path: string, content: string | Buffer) => {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, content)
}

/** Every file below a folder, and what it holds; links as what they lead to. */
async function tree(path: string): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true }).catch(() => [])) {
    const file = join(entry.parentPath, entry.name)
    if (!entry.isDirectory()) found.set(relative(path, file), (await readFile(file)).toString("latin1"))
  }
  return found
}

async function expectWhole(files = needed()): Promise<void> {
  const expected = files.map(({ path, content }) => [`snapshots/${hub.commit}/${path}`, content.toString("latin1")])
  const blobs = files.map((file) => [`blobs/${etagOf(file)}`, file.content.toString("latin1")])
  const all = new Map([...expected, ...blobs, ["refs/main", hub.commit]] as [string, string][])
  expect(await tree(folder())).toEqual(all)
}

/** Whatever is there under its final name is right. */
async function expectNothingWrong(): Promise<void> {
  const right = new Map(hub.files.map((file) => [etagOf(file), file.content.toString("latin1")]))
  for (const [path, content] of await tree(folder())) {
    const [kind, name] = path.split("/")
    if (kind === "blobs" && !name.endsWith(".incomplete")) expect(content === right.get(name), path).toBe(true)
    if (kind === "snapshots") expect(hub.files.some((file) => file.content.toString("latin1") === content)).toBe(true)
  }
}

describe("a pull", () => {
  it("brings the files that a model needs into huggingface_hub's layout, and only these", async () => {
    const progress: number[] = []
    const pulled = await get({ onProgress: (done) => progress.push(done) })
    const bytes = needed().reduce((sum, { content }) => sum + content.length, 0)
    const snapshot = join(folder(), "snapshots", COMMIT)
    expect(pulled).toEqual({ repository: REPOSITORY, commit: COMMIT, folder: snapshot, bytes, fetched: bytes })
    await expectWhole()
    const link = await readlink(join(snapshot, "tokenizer.json"))
    expect(link).toBe(`../../blobs/${etagOf(hub.files[4])}`)
    expect(progress.at(-1)).toBe(bytes)
    expect(await findModel(REPOSITORY, env())).toEqual({ name: REPOSITORY, folder: snapshot })
    expect(await readdir(join(root, "hub", ".locks", "models--someone--some-model"))).toEqual([])
  })

  it("of what is there fetches nothing; of a new commit what changed", async () => {
    await get()
    hub.seen.length = 0
    expect((await get()).fetched).toBe(0)
    expect(hub.seen.filter(({ url }) => !url.startsWith("/api/"))).toEqual([])
    hub.commit = "d".repeat(40)
    hub.files[1] = { path: "generation_config.json", content: Buffer.from('{"eos_token_id": 1}') }
    expect((await get()).fetched).toBe(hub.files[1].content.length)
    expect((await findModel(REPOSITORY, env())).folder).toContain(hub.commit)
    expect((await findModel(`${REPOSITORY}@${COMMIT.slice(0, 9)}`, env())).folder).toContain(COMMIT)
  })

  it.each(["v1", "refs/pr/1", COMMIT])("of revision %s leaves main alone, and is found by it", async (revision) => {
    await get({ revision })
    const refs = revision === COMMIT ? [] : [revision]
    const found = [...(await tree(join(folder(), "refs"))).keys()]
    expect(found).toEqual(refs)
    expect((await findModel(`${REPOSITORY}@${revision}`, env())).folder).toContain(COMMIT)
    await expect(findModel(`${REPOSITORY}@other`, env())).rejects.toThrow(`minerva pull ${REPOSITORY}@other`)
  })

  it("shows the token to the Hub alone", async () => {
    hub.next = `${hub.storage}/api/more`
    await expect(get()).rejects.toMatchObject({ name: "HubError" })
    hub.next = undefined
    await get()
    expect(hub.seen.some(({ server }) => server === "storage")).toBe(true)
    for (const { server, authorization } of hub.seen) {
      expect(authorization).toBe(server === "hub" ? `Bearer ${TOKEN}` : undefined)
    }
  })

  it("takes the token of the file that signing in leaves", async () => {
    await keep(join(root, "token"), "hf_file\n")
    await get({}, { HF_TOKEN: undefined })
    expect(hub.seen[0].authorization).toBe("Bearer hf_file")
  })

  it("goes on where another one stopped, and verifies what that left", async () => {
    const file = largest()
    await keep(partial(file), file.content.subarray(0, 150_000))
    const { bytes, fetched } = await get()
    expect(bytes - fetched).toBe(150_000)
    expect(fileRequests().map(({ range }) => range)).toContain("bytes=150000-")
    await expectWhole()
  })

  it.each([
    ["is of another file", (content: Buffer) => Buffer.alloc(content.length - 5)],
    ["is longer than the file", (content: Buffer) => Buffer.alloc(content.length + 5)],
    ["is as long as the file", (content: Buffer) => Buffer.alloc(content.length)],
    ["is the file", (content: Buffer) => content],
  ])("mends what was left where that %s", async (_, left) => {
    await keep(partial(largest()), left(largest().content))
    await get()
    await expectWhole()
  })

  it("does not write through a link in the place of a part", async () => {
    await keep(join(root, "outside"), "untouched")
    await mkdir(join(folder(), "blobs"), { recursive: true })
    await symlink(join(root, "outside"), partial(largest()))
    await get()
    expect(await readFile(join(root, "outside"), "utf8")).toBe("untouched")
  })

  it("mends a blob that is damaged", async () => {
    await get()
    const { folder: snapshot } = await get()
    await writeFile(join(snapshot, "tokenizer.json"), "short")
    await get()
    await expectWhole()
  })

  it("that is stopped keeps what came, leaves no lock, and the next one goes on", async () => {
    const stop = new AbortController()
    hub.fileFaults.push(...Array.from({ length: 4 }, (): Fault => ({ kind: "drop", after: 1e6 })))
    hub.fileFaults.push(...Array.from({ length: 3 }, (): Fault => ({ kind: "silent", after: 900 })))
    const onProgress = (done: number) => {
      if (done > 1500) stop.abort(new Error("stopped"))
    }
    await expect(get({ signal: stop.signal, onProgress })).rejects.toThrow("stopped")
    expect(await readdir(join(root, "hub", ".locks", "models--someone--some-model"))).toEqual([])
    hub.fileFaults.length = 0
    const { bytes, fetched } = await get()
    expect(fetched).toBeLessThan(bytes - 1000)
    await expectWhole()
  })

  it("is refused while another one runs, unless that has died", async () => {
    const lock = join(root, "hub", ".locks", "models--someone--some-model", "minerva.lock")
    let second: Promise<unknown> | undefined
    await get({
      check: () => {
        second = expect(get()).rejects.toMatchObject({ code: "in_use", message: expect.stringContaining(lock) })
      },
    })
    await second
    const { hostname } = await import("node:os")
    await keep(lock, JSON.stringify({ id: "x", pid: 2 ** 22 + 1, host: hostname() }))
    await get()
    await keep(lock, JSON.stringify({ id: "x", pid: 1, host: "another" }))
    await expect(get()).rejects.toMatchObject({ code: "in_use" })
    const { utimes } = await import("node:fs/promises")
    await utimes(lock, new Date(0), new Date(0))
    await get()
  })

  it("lets its caller refuse a model before the weights come", async () => {
    const check = (config: unknown) => {
      throw new Error(`not ${(config as { model_type: string }).model_type}`)
    }
    await expect(get({ check })).rejects.toThrow("not gpt_oss")
    expect(fileRequests()).toEqual([])
  })
})

describe("a failure that passes is waited out:", () => {
  const passing: [string, Fault][] = [
    ["a dropped connection", { kind: "drop", after: 1000 }],
    ["one that is dropped at once", { kind: "drop", after: 0 }],
    ["an answer that ends early", { kind: "short", after: 1000 }],
    ["silence", { kind: "silent", after: 1000 }],
    ["damage", { kind: "damage" }],
    ["too many bytes", { kind: "too much" }],
    ["an ignored range", { kind: "ignore range" }],
    ["another range", { kind: "other range" }],
    ["another size", { kind: "other size" }],
    ["429", { kind: "status", status: 429, headers: { "Retry-After": "0" } }],
    ...[408, 416, 500, 502, 503, 504].map((status): [string, Fault] => [`${status}`, { kind: "status", status }]),
    // Of the storage server: its addresses run out.
    ["a 403 of the storage", { kind: "status", status: 403 }],
  ]
  it.each(passing)("%s", async (name, fault) => {
    await keep(partial(largest()), largest().content.subarray(0, 100_000))
    // One file alone has all of the faults.
    hub.files = [hub.files[0], largest()]
    const check = () => void hub.fileFaults.push({ kind: "drop", after: 500 }, fault)
    const progress: number[] = []
    await get({ check, onProgress: (done) => progress.push(done) })
    await expectWhole()
    const isKept = progress.every((done, i) => i === 0 || done >= progress[i - 1])
    // What came is thrown away only where it may be wrong.
    const mayBeWrong = ["damage", "too much", "other size"].includes(fault.kind) || name === "416"
    expect(isKept).toBe(!mayBeWrong)
  })

  it("any number of drops, as long as each brings something", async () => {
    hub.fileFaults.push(...Array.from({ length: 40 }, (): Fault => ({ kind: "drop", after: 2000 })))
    await get()
    await expectWhole()
    expect(hub.fileFaults).toEqual([])
  })

  it("the API's, too", async () => {
    hub.apiFaults.push({ kind: "status", status: 500 }, { kind: "drop", after: 0 }, { kind: "status", status: 429 })
    await get()
    await expectWhole()
  })

  it("and a wait that the server asks for is kept", async () => {
    hub.apiFaults.push({ kind: "status", status: 429, headers: { "Retry-After": "1" } })
    const waits: number[] = []
    await get({ onWait: (_, ms) => waits.push(ms) })
    expect(waits).toEqual([1000])
  })
})

it("when one file fails for good the others are not waited for", async () => {
  hub.files = [hub.files[0], ...hub.files.slice(4, 6)]
  const check = () => {
    const damage: Fault = { kind: "damage" }
    hub.fileFaults.push({ kind: "silent", after: 10 }, damage, damage)
  }
  const patience = { ...HASTE, silence: 1e6 }
  await expect(get({ patience, check })).rejects.toMatchObject({ code: "bad_answer" })
})

it("reads a list that goes on, on another page", async () => {
  hub.next = `${hub.url}/api/models/${REPOSITORY}/tree/${COMMIT}?cursor=2`
  await get()
  await expectWhole()
  expect(hub.seen.filter(({ url }) => url.includes("/tree/"))).toHaveLength(2)
})

it("leaves what Hugging Face's own reader of the cache takes", async () => {
  await get({ revision: "v1" })
  const { repos, warnings } = await scanCacheDir(join(root, "hub"))
  expect(warnings).toEqual([])
  const size = needed().reduce((sum, { content }) => sum + content.length, 0)
  expect(repos).toMatchObject([
    { id: { name: REPOSITORY, type: "model" }, size, revisions: [{ commitOid: COMMIT, refs: ["v1"] }] },
  ])
})

describe("a failure that stays is said:", () => {
  const always = (fault: Fault) => hub.fileFaults.push(...Array.from({ length: 100 }, () => fault))

  it.each<[string, Fault, string, RegExp]>([
    ["500", { kind: "status", status: 500 }, "unreachable", /config\.json failed 4 times in a row: .*500/],
    ["damage", { kind: "damage" }, "bad_answer", /config\.json: .*hash is [0-9a-f]{40}, expected [0-9a-f]{40}/],
    ["dropped", { kind: "drop", after: 0 }, "unreachable", /connection was dropped/],
    ["too long", { kind: "too much" }, "bad_answer", /more than the 25 bytes/],
    [
      "gated",
      { kind: "status", status: 403, headers: { "X-Error-Code": "GatedRepo" } },
      "denied",
      /gated.*accept its conditions at http/,
    ],
    ["bad token", { kind: "status", status: 401 }, "denied", /refuses your token.*HF_TOKEN/],
    ["404", { kind: "status", status: 404, headers: { "X-Error-Code": "EntryNotFound" } }, "bad_answer", /answers 404/],
    ["a long wait", { kind: "status", status: 429, headers: { "Retry-After": "3600" } }, "unreachable", /60 minutes/],
  ])("%s", async (_, fault, code, message) => {
    always(fault)
    await expect(get()).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    await expectNothingWrong()
    expect((await tree(folder())).has("refs/main")).toBe(false)
    hub.fileFaults.length = 0
    await get()
    await expectWhole()
  })

  it.each([
    ["smaller", -10, /fewer than the/],
    ["larger", 10, /more than the/],
  ])("a file that is %s than listed", async (_, less, message) => {
    const file = largest()
    hub.files[6] = { ...file, listed: { size: file.content.length - less } }
    await expect(get()).rejects.toMatchObject({ code: "bad_answer", message: expect.stringMatching(message) })
    expect([...(await tree(folder())).keys()].filter((path) => path.startsWith("snap"))).toEqual([])
  })

  it("a file that is not what is listed", async () => {
    hub.files[6] = { ...largest(), listed: { oid: "a".repeat(64) } }
    await expect(get()).rejects.toMatchObject({ code: "bad_answer", message: expect.stringContaining("a".repeat(64)) })
  })

  it("a disk that is too small, with both numbers", async () => {
    hub.files[6] = { ...largest(), listed: { size: 9e14 } }
    await expect(get()).rejects.toMatchObject({
      code: "no_space",
      message: expect.stringMatching(/has [\d.]+ [GTM]B free, and 900 TB are still to come/),
    })
    expect(fileRequests()).toEqual([])
  })

  it("a server that is not there, or is no Hub", async () => {
    hub.files = []
    const gone = await FakeHub.open([])
    const closed = gone.url
    await gone.close()
    await expect(get()).rejects.toMatchObject({ code: "no_model", message: expect.stringContaining("no config.json") })
    await expect(get({}, { HF_ENDPOINT: closed })).rejects.toMatchObject({
      code: "unreachable",
      message: expect.stringContaining("takes no connections"),
    })
    await expect(get({}, { HF_ENDPOINT: `${hub.url}/nowhere` })).rejects.toMatchObject({ code: "bad_answer" })
  })

  it.each<[Record<string, string>, string, RegExp]>([
    [{ HF_HUB_OFFLINE: "1" }, "offline", /HF_HUB_OFFLINE is set/],
    [{ TRANSFORMERS_OFFLINE: "yes" }, "offline", /TRANSFORMERS_OFFLINE/],
    [{ HF_ENDPOINT: "huggingface.co" }, "bad_setting", /HF_ENDPOINT is no address/],
    [{ HF_TOKEN: "hf_a\nb" }, "bad_setting", /HF_TOKEN holds/],
  ])("the settings %j", async (settings, code, message) => {
    await expect(get({}, settings)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    expect(hub.seen).toEqual([])
  })

  it("a name that is none, a repository or a revision that is not there", async () => {
    const named = (name: string, revision?: string, more = {}) =>
      pull(name, { revision, patience: HASTE }, { ...env(), ...more })
    for (const name of ["", "gpt2", "../a", "a/b/c", "a/..", "/a", "a/b\0", "a/b?x=1", "a/b#c", "a\\b/c"]) {
      await expect(named(name)).rejects.toMatchObject({ code: "bad_name" })
    }
    for (const revision of ["../main", "a/../b", "/main", "", "a//b", "-a", "a\0", "main.lock"]) {
      await expect(named(REPOSITORY, revision)).rejects.toMatchObject({ code: "bad_name" })
    }
    expect(hub.seen).toEqual([])
    hub.search = ["openai/gpt-oss-20b", "../evil", "a/b"]
    await expect(named("someone/gpt-oss")).rejects.toMatchObject({
      code: "not_found",
      message: expect.stringMatching(/someone\/gpt-oss is not on .* like it there are openai\/gpt-oss-20b, a\/b$/),
    })
    hub.search = []
    await expect(named(REPOSITORY, "v2")).rejects.toMatchObject({
      code: "no_revision",
      message: expect.stringContaining("no revision v2"),
    })
    hub.apiFaults.push({ kind: "status", status: 401 })
    await expect(named(REPOSITORY, "main", { HF_TOKEN: "" })).rejects.toMatchObject({
      code: "not_found",
      message: expect.stringMatching(/private.*HF_TOKEN/),
    })
  })

  it("a repository without safetensors", async () => {
    hub.files = hub.files.filter(({ path }) => !path.endsWith(".safetensors"))
    await expect(get()).rejects.toMatchObject({ code: "no_model", message: expect.stringMatching(/GGUF/) })
  })
})

it("nothing is ever written outside of the cache, whatever files are called and their ids say", async () => {
  const content = Buffer.from("x")
  const names = [
    "../evil",
    "/tmp/evil",
    "a/../../evil",
    "..\\evil",
    "C:\\evil",
    "..",
    ".",
    "",
    "a\0b",
    "refs/main",
    "..",
  ]
  const hostile = names.flatMap((name) => [name, `${name}.safetensors`, `${name}/config.json`])
  hub.files.push(...hostile.map((path) => ({ path, content, lfs: true })))
  const before = [...(await tree(root)).keys()]
  await get()
  await expectWhole(needed().filter(({ path }) => !hostile.includes(path)))
  for (const oid of ["../../../evil", "", "A".repeat(64), `${"a".repeat(63)}/`, "a".repeat(32)]) {
    hub.commit = "e".repeat(40)
    hub.files = [...smallRepository(), { path: "model.safetensors", content, lfs: true, listed: { oid } }]
    await expect(get()).rejects.toMatchObject({ code: "bad_answer" })
  }
  hub.files = smallRepository()
  for (const commit of ["../../evil", "main", ""]) {
    hub.commit = commit
    await expect(get()).rejects.toMatchObject({ code: "bad_answer" })
  }
  const outside = [...(await tree(root)).keys()].filter((path) => !path.startsWith("hub/models--someone--some-model/"))
  expect(outside).toEqual(before)
})

it("whatever fails, the cache never holds a wrong file, and after some more pulls it equals the repository", async () => {
  const fault: fc.Arbitrary<Fault> = fc.oneof(
    fc.record({
      kind: fc.constantFrom("drop" as const, "short" as const, "silent" as const),
      after: fc.oneof(fc.nat(3000), fc.nat(200_000)),
    }),
    fc.record({
      kind: fc.constantFrom(
        "ignore range" as const,
        "other range" as const,
        "other size" as const,
        "too much" as const,
        "damage" as const,
      ),
    }),
    fc.record({ kind: fc.constant("status" as const), status: fc.constantFrom(401, 403, 404, 416, 429, 500, 503) }),
  )
  const impatience = { ...HASTE, silence: 40, failures: 2 }
  await fc.assert(
    fc.asyncProperty(fc.array(fault, { maxLength: 25 }), fc.array(fault, { maxLength: 3 }), async (files, api) => {
      await rm(folder(), { recursive: true, force: true })
      hub.fileFaults.splice(0, Infinity, ...files)
      hub.apiFaults.splice(0, Infinity, ...api)
      for (let pulls = 0; ; pulls++) {
        // A machine that is busy may be silent, too.
        expect(pulls).toBeLessThanOrEqual(files.length + api.length + 20)
        const done = await get({ patience: impatience }).then(
          () => true,
          (error) => {
            expect(error.name).toBe("HubError")
            return false
          },
        )
        await expectNothingWrong()
        if (done) break
      }
      await expectWhole()
    }),
    { numRuns: 30 },
  )
})

it("takes plain files in the snapshot, as there are where links cannot be made, for the blobs", async () => {
  const { folder: snapshot } = await get()
  for (const { path, content } of needed()) {
    await rm(join(snapshot, path))
    await writeFile(join(snapshot, path), content)
  }
  await rm(join(folder(), "blobs"), { recursive: true })
  expect((await get()).fetched).toBe(0)
  expect((await lstat(join(snapshot, "config.json"))).isFile()).toBe(true)
})

it("a large file that is there is told by its size, for hashing it would take minutes", async () => {
  const path = join(root, "large")
  await writeFile(path, "")
  const size = 70 << 20
  for (const [length, expected] of [
    [size - 1, false],
    [size, true],
    [size + 1, false],
  ] as const) {
    await truncate(path, length)
    expect(await holds(path, { path: "large", size, etag: "a".repeat(64) })).toBe(expected)
  }
})
