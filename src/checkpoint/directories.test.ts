import { execFileSync } from "node:child_process"
import { chmod, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises"
import { createServer, type RequestListener, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { blobDirectory } from "./blob_directory.js"
import type { Directory } from "./byte_source.js"
import { httpDirectory } from "./http_directory.js"
import { memoryDirectory } from "./memory_directory.js"
import { nodeDirectory } from "./node_directory.js"

// Longer than the pieces that files and HTTP are read in.
const BIG = new Uint8Array(18_000_003)
for (let i = 0; i < BIG.length; i++) BIG[i] = (i * 2654435761) >>> 24

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "minerva-"))
})
afterEach(() => rm(folder, { recursive: true }))

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/models/x`
}

/** What a static file server does, with and without ranges. */
function fileServer(files: Record<string, Uint8Array>, ranges = true): RequestListener {
  return (request, response) => {
    const bytes = files[decodeURIComponent(request.url!).replace("/models/x/", "")]
    const range = ranges && /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "")
    if (!bytes) response.writeHead(404).end()
    else if (!range) response.writeHead(200, { "content-length": bytes.length }).end(bytes)
    else if (Number(range[1]) >= bytes.length) {
      response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end()
    } else {
      const end = Math.min(Number(range[2]) + 1, bytes.length)
      const headers = { "content-range": `bytes ${range[1]}-${end - 1}/${bytes.length}` }
      response.writeHead(206, headers).end(bytes.subarray(Number(range[1]), end))
    }
  }
}

const FILES = { "big file.bin": BIG, "sub/small": Uint8Array.of(1, 2, 3), empty: new Uint8Array(0) }

const DIRECTORIES: Record<string, () => Promise<Directory>> = {
  memory: async () => memoryDirectory(new Map(Object.entries(FILES))),
  disk: async () => {
    await mkdir(join(folder, "sub"))
    for (const [name, bytes] of Object.entries(FILES)) await writeFile(join(folder, name), bytes)
    return nodeDirectory(folder)
  },
  http: async () => httpDirectory(await serve(fileServer(FILES))),
  "http without ranges": async () => httpDirectory(await serve(fileServer(FILES, false))),
  blobs: async () => blobDirectory([new File([BIG], "big file.bin"), new File([], "empty")]),
}

describe.each(Object.entries(DIRECTORIES))("%s", (_, make) => {
  it("gives sizes and any range, straight into shared memory", async () => {
    const source = await (await make()).open("big file.bin")
    expect(source.size).toBe(BIG.length)
    const pages = Math.ceil(BIG.length / 65536) + 1
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
    const into = new Uint8Array(memory.buffer, 7, BIG.length - 5)
    await source.read(2, into)
    expect(Buffer.compare(into, BIG.subarray(2, -3))).toBe(0)
    await Promise.all(
      [0, 5, 1000].map(async (offset) => {
        const some = new Uint8Array(100)
        await source.read(offset, some)
        expect(some).toEqual(BIG.subarray(offset, offset + 100))
      }),
    )
    await source.read(BIG.length, new Uint8Array(0))
    await source.close()
  })

  it("opens empty files", async () => {
    const source = await (await make()).open("empty")
    expect(source.size).toBe(0)
    await source.read(0, new Uint8Array(0))
    await source.close()
  })

  it("refuses ranges outside the file", async () => {
    const source = await (await make()).open("big file.bin")
    await expect(source.read(BIG.length - 3, new Uint8Array(4))).rejects.toMatchObject({ code: "out_of_range" })
    await expect(source.read(-1, new Uint8Array(1))).rejects.toMatchObject({ code: "out_of_range" })
    await source.close()
  })

  it("says what is missing and stays inside", async () => {
    const directory = await make()
    await expect(directory.open("nothing")).rejects.toMatchObject({ code: "file_missing" })
    for (const name of ["../x", "/etc/passwd", "sub/../../x", "a\\b"]) {
      await expect(Promise.resolve().then(() => directory.open(name))).rejects.toMatchObject({ code: "bad_path" })
    }
  })
})

describe("disk", () => {
  it("follows links, as the Hugging Face cache needs", async () => {
    await writeFile(join(folder, "blob"), "abc")
    await mkdir(join(folder, "snapshot"))
    await symlink("../blob", join(folder, "snapshot", "model.safetensors"))
    const source = await nodeDirectory(join(folder, "snapshot")).open("model.safetensors")
    expect(source.size).toBe(3)
    await source.close()
  })

  it("does not wait on folders and pipes", async () => {
    await mkdir(join(folder, "dir"))
    execFileSync("mkfifo", [join(folder, "pipe")])
    for (const name of ["dir", "pipe"]) {
      await expect(nodeDirectory(folder).open(name)).rejects.toMatchObject({ code: "io" })
    }
  })

  it("lists files, links and folders", async () => {
    await mkdir(join(folder, "dir"))
    await writeFile(join(folder, "file"), "")
    await symlink("nothing", join(folder, "link"))
    expect((await nodeDirectory(folder).list!()).sort()).toEqual(["dir/", "file", "link"])
    await expect(nodeDirectory(join(folder, "none")).list!()).rejects.toMatchObject({ code: "file_missing" })
    await expect(nodeDirectory(join(folder, "file")).list!()).rejects.toMatchObject({ code: "file_missing" })
  })

  it("says what is wrong with a name: a folder that is not there, a link to nothing, a circle of links", async () => {
    await symlink("nothing", join(folder, "link"))
    await symlink("circle", join(folder, "circle"))
    const open = (path: string, name: string) => nodeDirectory(join(folder, path)).open(name)
    await expect(open("none", "x")).rejects.toMatchObject({ message: expect.stringContaining("there is no folder") })
    await expect(open(".", "link")).rejects.toMatchObject({
      message: expect.stringContaining("a link to one that is not"),
    })
    await expect(open(".", "circle")).rejects.toMatchObject({ code: "io", message: expect.stringContaining("(ELOOP)") })
  })

  // Root may read everything.
  it.skipIf(process.getuid?.() === 0)("says so when it may not read", async () => {
    await writeFile(join(folder, "x"), "")
    await chmod(folder, 0)
    const denied = { code: "io", message: expect.stringMatching(/permission denied \(EACCES\).*check its permissions/) }
    await expect(nodeDirectory(folder).list!()).rejects.toMatchObject(denied)
    await expect(nodeDirectory(folder).open("x")).rejects.toMatchObject(denied)
    await chmod(folder, 0o700)
  })

  it("notices a file that shrinks under it", async () => {
    const path = join(folder, "x")
    await writeFile(path, BIG)
    const source = await nodeDirectory(folder).open("x")
    await truncate(path, 1000)
    await expect(source.read(0, new Uint8Array(BIG.length))).rejects.toMatchObject({ code: "truncated" })
    await source.close()
  })
})

it("memory and blobs list what they hold, an address cannot", async () => {
  expect(await memoryDirectory(new Map(Object.entries(FILES))).list!()).toEqual(["big file.bin", "sub/", "empty"])
  expect(await blobDirectory([new File([], "a"), new File([], "b")]).list!()).toEqual(["a", "b"])
  expect(httpDirectory("http://127.0.0.1/x").list).toBeUndefined()
})

describe("http", () => {
  it.each([
    ["refuses", 403, "io"],
    ["breaks", 500, "io"],
    ["has lost the file", 410, "file_missing"],
  ])("says so when the server %s", async (_, status, code) => {
    const directory = httpDirectory(await serve((_, response) => response.writeHead(status).end()))
    await expect(directory.open("x")).rejects.toMatchObject({ code, message: expect.stringContaining(String(status)) })
  })

  it("says so when nobody answers", async () => {
    const address = await serve(() => {})
    for (const server of servers.splice(0)) server.close()
    await expect(httpDirectory(address).open("x")).rejects.toMatchObject({ code: "io" })
  })

  it("notices a file that changed, and an answer cut short", async () => {
    let files: Record<string, Uint8Array> = { x: BIG }
    const source = await httpDirectory(await serve((request, response) => fileServer(files)(request, response))).open(
      "x",
    )
    files = { x: BIG.subarray(0, 2000) }
    await expect(source.read(0, new Uint8Array(1000))).rejects.toMatchObject({ code: "io" })

    const short: RequestListener = (request, response) => {
      const [, from] = /^bytes=(\d+)/.exec(request.headers.range!)!
      response.writeHead(206, { "content-range": `bytes ${from}-${from}/5000` }).end("!")
    }
    const cut = await httpDirectory(await serve(short)).open("x")
    await expect(cut.read(0, new Uint8Array(10))).rejects.toMatchObject({ code: "truncated" })
  })
})
