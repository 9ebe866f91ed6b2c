import { createHash } from "node:crypto"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { readdirSync, readFileSync } from "node:fs"
import type { AddressInfo } from "node:net"
import { join } from "node:path"

/** A file of a repository: what lies in large file storage comes from a second server, as a content delivery network's. */
export interface FakeFile {
  readonly path: string
  readonly content: Buffer
  readonly lfs?: boolean
  /** What the list says instead of the truth. */
  readonly listed?: { readonly size?: number; readonly oid?: string }
}

/** How one request for a file goes wrong. */
export type Fault =
  | { readonly kind: "status"; readonly status: number; readonly headers?: Record<string, string> }
  /** So many bytes, then the connection is cut. */
  | { readonly kind: "drop"; readonly after: number }
  /** Ends cleanly after so many bytes, as if that were all. */
  | { readonly kind: "short"; readonly after: number }
  | { readonly kind: "silent"; readonly after: number }
  | { readonly kind: "ignore range" | "other range" | "other size" | "too much" | "damage" }

export interface Seen {
  readonly server: "hub" | "storage"
  readonly url: string
  readonly authorization: string | undefined
  readonly range: string | undefined
}

export const COMMIT = "c".repeat(40)
export const REPOSITORY = "someone/some-model"

const hex = (algorithm: string, ...parts: (string | Buffer)[]) => {
  const hash = createHash(algorithm)
  for (const part of parts) hash.update(part)
  return hash.digest("hex")
}

/** What the Hub calls a file's content. */
export function etagOf({ content, lfs }: FakeFile): string {
  return lfs ? hex("sha256", content) : hex("sha1", `blob ${content.length}\0`, content)
}

/** A Hub on this machine, with one repository at one commit, that misbehaves as it is told to. */
export class FakeHub {
  readonly seen: Seen[] = []
  /** Taken from the front by requests for files (by the storage's answer where there is one), and of the API. */
  readonly fileFaults: Fault[] = []
  readonly apiFaults: Fault[] = []
  files: FakeFile[] = []
  commit = COMMIT
  /** Where the list says that it goes on. */
  next: string | undefined
  search: string[] = []
  private readonly servers: Server[] = []
  url = ""
  storage = ""

  static async open(files: FakeFile[]): Promise<FakeHub> {
    const hub = new FakeHub()
    hub.files = files
    hub.url = await hub.listen((request, response) => hub.answer(request, response))
    hub.storage = await hub.listen((request, response) => hub.store(request, response))
    return hub
  }

  async close(): Promise<void> {
    for (const server of this.servers) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }

  private async listen(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
    const server = createServer(handle)
    this.servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  private note(server: Seen["server"], { url = "", headers }: IncomingMessage): void {
    this.seen.push({ server, url, authorization: headers.authorization, range: headers.range })
  }

  private answer(request: IncomingMessage, response: ServerResponse) {
    this.note("hub", request)
    const { pathname, searchParams } = new URL(request.url ?? "/", this.url)
    const isApi = pathname.startsWith("/api/")
    const fault = isApi ? this.apiFaults.shift() : undefined
    if (fault?.kind === "status") return response.writeHead(fault.status, fault.headers).end()
    if (fault) return response.destroy()
    const json = (value: unknown, headers = {}) => {
      response.writeHead(200, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(value))
    }
    if (pathname === "/api/models") return json(this.search.map((id) => ({ id, _id: id, lastModified: 0 })))
    if (/^\/api\/models\/[^/]+\/[^/]+\/revision\//.test(pathname)) {
      const revision = decodeURIComponent(pathname.split("/revision/")[1])
      if (!pathname.startsWith(`/api/models/${REPOSITORY}/`)) return refuse(response, 404, "RepoNotFound")
      if (!["main", "v1", "refs/pr/1", this.commit].includes(revision)) return refuse(response, 404, "RevisionNotFound")
      return json({ id: REPOSITORY, _id: "1", sha: this.commit, lastModified: 0 })
    }
    if (pathname === `/api/models/${REPOSITORY}/tree/${this.commit}`) {
      const link = this.next && !searchParams.has("cursor") ? { Link: `<${this.next}>; rel="next"` } : {}
      return json(this.files.map(entryOf), link)
    }
    const [, path] = new RegExp(`^/${REPOSITORY}/resolve/${this.commit}/(.+)$`).exec(decodeURIComponent(pathname)) ?? []
    const file = this.files.find((file) => file.path === path)
    if (!file) return refuse(response, 404, "EntryNotFound")
    const { content, lfs } = file
    response.setHeader("X-Repo-Commit", this.commit)
    if (!lfs) return this.send(request, response, file)
    response.writeHead(302, {
      Location: `${this.storage}/${etagOf(file)}`,
      "X-Linked-ETag": `"${etagOf(file)}"`,
      "X-Linked-Size": content.length,
    })
    response.end()
  }

  private store(request: IncomingMessage, response: ServerResponse) {
    this.note("storage", request)
    const file = this.files.find((file) => `/${etagOf(file)}` === request.url)
    if (!file) return refuse(response, 404)
    this.send(request, response, file)
  }

  private send(request: IncomingMessage, response: ServerResponse, file: FakeFile) {
    const fault = this.fileFaults.shift()
    if (fault?.kind === "status") return response.writeHead(fault.status, fault.headers).end()
    const { content } = file
    const [, digits] = /^bytes=(\d+)-$/.exec(request.headers.range ?? "") ?? []
    let start = digits === undefined ? 0 : Number(digits)
    if (digits !== undefined && start >= content.length) {
      return response.writeHead(416, { "Content-Range": `bytes */${content.length}` }).end()
    }
    if (fault?.kind === "ignore range") start = 0
    if (fault?.kind === "other range") start = Math.max(0, start - 1)
    let body = Buffer.from(content.subarray(start))
    if (fault?.kind === "damage" && body.length > 0) body[body.length >> 1] ^= 1
    if (fault?.kind === "too much") body = Buffer.concat([body, Buffer.from("more")])
    const total = content.length + (fault?.kind === "other size" ? 1 : 0)
    const isPart = digits !== undefined && fault?.kind !== "ignore range"
    const range = isPart ? { "Content-Range": `bytes ${start}-${content.length - 1}/${total}` } : {}
    const cut = fault && "after" in fault ? Math.min(fault.after, body.length) : body.length
    const length = fault?.kind === "short" ? cut : body.length
    response.writeHead(isPart ? 206 : 200, { ETag: `"${etagOf(file)}"`, "Content-Length": length, ...range })
    if (fault?.kind === "silent") return response.write(body.subarray(0, cut))
    if (fault?.kind === "drop") return response.write(body.subarray(0, cut), () => response.destroy())
    response.end(body.subarray(0, length))
  }
}

function entryOf(file: FakeFile) {
  const { path, content, lfs, listed } = file
  const size = listed?.size ?? content.length
  const oid = listed?.oid ?? etagOf(file)
  const large = { oid: "0".repeat(40), lfs: { oid, size, pointerSize: 134 } }
  return { type: "file", path, size, ...(lfs ? large : { oid }) }
}

function refuse(response: ServerResponse, status: number, code?: string) {
  response.writeHead(status, code === undefined ? {} : { "X-Error-Code": code }).end()
}

/** A repository of a small model's shape, of some thousand bytes. */
export function smallRepository(): FakeFile[] {
  const text = (path: string, content: string) => ({ path, content: Buffer.from(content) })
  const large = (path: string, size: number, seed: number): FakeFile => {
    const content = Buffer.alloc(size)
    for (let i = 0; i < size; i++) content[i] = (i * 31 + seed * 17 + (i >> 8)) & 255
    return { path, content, lfs: true }
  }
  return [
    text("config.json", '{"model_type": "gpt_oss"}'),
    text("generation_config.json", "{}"),
    text("tokenizer_config.json", '{"a": 1}'),
    text("model.safetensors.index.json", '{"weight_map": {}}'),
    large("tokenizer.json", 3000, 1),
    large("model-00001-of-00002.safetensors", 70_000, 2),
    large("model-00002-of-00002.safetensors", 200_000, 3),
    text("README.md", "# not needed"),
    text("picture.png", "not needed"),
    large("model.gguf", 100, 4),
    large("original/model.safetensors", 100, 5),
  ]
}

/** The repository that a folder with a model would be. */
export function filesOf(folder: string): FakeFile[] {
  return readdirSync(folder)
    .filter((path) => /\.(json|safetensors)$/.test(path))
    .map((path) => ({ path, content: readFileSync(join(folder, path)), lfs: path.endsWith(".safetensors") }))
}
