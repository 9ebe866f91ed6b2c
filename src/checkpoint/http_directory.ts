import { type ByteSource, checkRange, type Directory, drainInto, pathParts, readInPieces } from "./byte_source.js"
import { CheckpointError } from "./errors.js"
import { MemorySource } from "./memory_directory.js"

const READS = { chunk: 16 << 20, inFlight: 4 }

/** A server that ignores ranges is accepted for files up to this size, which are then kept in memory. */
const MAX_WHOLE_FILE = 64 << 20

/** What is used of `fetch`, so that callers may add credentials or retries. */
export type Fetch = (url: string, init: { headers: Record<string, string> }) => Promise<Response>

/** A folder behind HTTP, read with Range requests. `base` is its address, query strings not allowed. */
export function httpDirectory(base: string, fetch: Fetch = globalThis.fetch): Directory {
  const root = base.endsWith("/") ? base : `${base}/`
  return {
    name: base,
    async open(name) {
      const url = root + pathParts(name).map(encodeURIComponent).join("/")
      const response = await request(fetch, url, name, 0, 1)
      const range = contentRange(response)
      // A server says 416 for any range of an empty file.
      if (response.status === 416 && range?.size === 0) return new MemorySource(name, new Uint8Array(0))
      if (response.status === 206 && range) {
        await response.body?.cancel()
        return new HttpSource(name, range.size, url, fetch)
      }
      return new MemorySource(name, await wholeBody(response, name))
    },
  }
}

class HttpSource implements ByteSource {
  constructor(
    readonly name: string,
    readonly size: number,
    private readonly url: string,
    private readonly fetch: Fetch,
  ) {}

  async read(offset: number, into: Uint8Array): Promise<void> {
    checkRange(this, offset, into.byteLength)
    await readInPieces(into, READS, async (start, piece) => {
      const from = offset + start
      const response = await request(this.fetch, this.url, this.name, from, piece.byteLength)
      const range = contentRange(response)
      if (response.status !== 206 || !response.body || range?.start !== from || range.size !== this.size) {
        await response.body?.cancel()
        throw new CheckpointError({
          code: "io",
          file: this.name,
          problem: "the server's answer does not fit the range that was asked for; the file may have changed",
          expected: `206 with bytes from ${from} of ${this.size}`,
          found: `${response.status} with ${response.headers.get("content-range") ?? "no content-range"}`,
          advice: "try again",
        })
      }
      await drainInto(response.body, piece, this.name, from)
    })
  }

  async close(): Promise<void> {}
}

async function request(fetch: Fetch, url: string, name: string, from: number, length: number): Promise<Response> {
  let response: Response
  try {
    response = await fetch(url, {
      headers: { Range: `bytes=${from}-${from + length - 1}`, "Accept-Encoding": "identity" },
    })
  } catch (cause) {
    throw new CheckpointError({ code: "io", file: name, problem: `the server cannot be reached at ${url}`, cause })
  }
  if (response.ok || response.status === 416) return response
  await response.body?.cancel()
  const missing = response.status === 404 || response.status === 410
  throw new CheckpointError({
    code: missing ? "file_missing" : "io",
    file: name,
    problem: `the server answered ${response.status} ${response.statusText} for ${url}`,
    advice: missing ? "check the address" : "check your access to it and try again",
  })
}

/** `bytes 0-0/1234` -> start 0, size 1234 */
function contentRange(response: Response): { start: number; size: number } | null {
  const match = /^bytes (?:(\d+)-\d+|\*)\/(\d+)$/.exec(response.headers.get("content-range") ?? "")
  return match && { start: Number(match[1] ?? 0), size: Number(match[2]) }
}

async function wholeBody(response: Response, name: string): Promise<Uint8Array> {
  const length = Number(response.headers.get("content-length") ?? Number.NaN)
  if (response.status === 200 && response.body && length <= MAX_WHOLE_FILE) {
    // A compressed body is longer than its content-length says; `arrayBuffer` gives what the file really holds.
    if (response.headers.get("content-encoding")) return new Uint8Array(await response.arrayBuffer())
    const bytes = new Uint8Array(length)
    await drainInto(response.body, bytes, name, 0)
    return bytes
  }
  await response.body?.cancel()
  throw new CheckpointError({
    code: "io",
    file: name,
    problem: "the server does not serve byte ranges",
    expected: "206 Partial Content",
    found: `${response.status} ${response.statusText}`,
    advice: "serve the folder with a server that honours the Range header",
  })
}
