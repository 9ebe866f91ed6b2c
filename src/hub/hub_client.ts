import { listFiles, listModels, modelInfo } from "@huggingface/hub"
import * as z from "zod"
import { isRepositoryId } from "../checkpoint/node_hub.js"
import { HubError, PassingFailure } from "./hub_error.js"
import { type Persistence, persist } from "./patience.js"
import { type Asked, originOf, refusal } from "./refusals.js"
import { type RepositoryFile, repositoryFile } from "./repository_files.js"

/** Bytes of an answer of the API at most, and files of a repository that are looked at. */
const MAX_ANSWER = 64 << 20
const MAX_FILES = 100_000

/** A file's bytes as they arrive. */
export interface Opened {
  /** 206: the bytes asked for; 200: all of the file; 416: there are none there. */
  readonly status: number
  readonly headers: Headers
  /** @throws PassingFailure when they end too early */
  readonly chunks: AsyncIterable<Uint8Array>
}

/**
 * What a pull asks of the Hub about a revision of a repository. The protocol is the library's; requests are made here, so that the
 * token goes to the Hub alone, wherever redirects and links lead, and failures that pass are waited out.
 */
export class HubClient {
  private readonly library

  constructor(
    private readonly asked: Asked,
    private readonly persistence: Persistence,
  ) {
    const ask = (input: RequestInfo | URL, init?: RequestInit) =>
      persist(`asking ${asked.endpoint}`, () => this.whole(String(input), init), persistence)
    this.library = { hubUrl: asked.endpoint, fetch: ask as typeof fetch }
  }

  /** The commit that the revision stands for now. @throws HubError */
  async commit(): Promise<string> {
    const { repository: name, revision } = this.asked
    const info = await this.answer(modelInfo({ ...this.library, name, revision, additionalFields: ["sha"] }))
    const parsed = z.stringFormat("commit", /^[0-9a-f]{40}$/).safeParse(info.sha)
    if (!parsed.success) throw this.bad("the commit's id is missing or no id")
    return parsed.data
  }

  /** Every file of a commit. @throws HubError */
  async files(commit: string): Promise<RepositoryFile[]> {
    const files: RepositoryFile[] = []
    const entries = listFiles({ ...this.library, repo: this.asked.repository, revision: commit, recursive: false })
    await this.answer(
      (async () => {
        let count = 0
        for await (const entry of entries) {
          if (++count > MAX_FILES) throw this.bad(`it lists more than ${MAX_FILES} files`)
          const file = repositoryFile(entry)
          if (file) files.push(file)
        }
      })(),
    )
    return files
  }

  /** Names of models like the one asked for; none when the Hub does not say. */
  async similar(): Promise<string[]> {
    const query = this.asked.repository.split("/").at(-1)
    try {
      const names: string[] = []
      for await (const { name } of listModels({ ...this.library, search: { query }, limit: 4 })) names.push(name)
      return names.filter(isRepositoryId)
    } catch {
      this.persistence.signal.throwIfAborted()
      return []
    }
  }

  /** Opens a file from byte `start` on, once. @throws HubError, PassingFailure */
  async open(path: string, commit: string, start: number, signal: AbortSignal): Promise<Opened> {
    const { endpoint, repository } = this.asked
    const url = `${endpoint}/${repository}/resolve/${commit}/${encodeURIComponent(path)}`
    const range: HeadersInit = start > 0 ? { Range: `bytes=${start}-` } : {}
    return this.request(url, { headers: { ...range, "Accept-Encoding": "identity" }, signal }, [416])
  }

  /** An answer with all of its body, for the library. */
  private async whole(url: string, init?: RequestInit): Promise<Response> {
    const { status, headers, chunks } = await this.request(url, init)
    const parts: Uint8Array[] = []
    let size = 0
    for await (const chunk of chunks) {
      size += chunk.byteLength
      if (size > MAX_ANSWER) throw this.bad("the answer is too long")
      parts.push(chunk)
    }
    return new Response(Buffer.concat(parts), { status, headers })
  }

  private async request(url: string, init: RequestInit = {}, accepted: readonly number[] = []): Promise<Opened> {
    const { endpoint, token } = this.asked
    const { patience } = this.persistence
    const signal = init.signal ?? this.persistence.signal
    const quiet = new AbortController()
    const dropped = new PassingFailure(`nothing came for ${Math.ceil(patience.silence / 1000)} seconds`)
    const timer = setTimeout(() => quiet.abort(dropped), patience.silence)
    const headers = new Headers(init.headers)
    // fetch takes it off again when a redirect leads elsewhere.
    if (token !== undefined && originOf(url) === originOf(endpoint)) headers.set("Authorization", `Bearer ${token}`)
    try {
      const response = await fetch(url, { ...init, headers, signal: AbortSignal.any([signal, quiet.signal]) })
      const { ok, status, headers: answered } = response
      if (!ok) {
        clearTimeout(timer)
        await response.body?.cancel()
        if (!accepted.includes(status)) throw refusal(response, this.asked)
      }
      return { status, headers: answered, chunks: chunksOf(ok ? response.body : null, timer) }
    } catch (error) {
      clearTimeout(timer)
      throw failure(error)
    }
  }

  /** What the library makes of an answer; it takes what it gets for what it expects. */
  private async answer<T>(result: Promise<T>): Promise<T> {
    try {
      return await result
    } catch (error) {
      this.persistence.signal.throwIfAborted()
      if (error instanceof HubError) throw error
      throw this.bad("it is not in the Hub's format", error)
    }
  }

  private bad(what: string, cause?: unknown): HubError {
    const { endpoint, repository } = this.asked
    const problem = `the answer of ${endpoint} about ${repository} cannot be used: ${what}`
    return new HubError({ code: "bad_answer", problem, advice: "check HF_ENDPOINT, and what stands between", cause })
  }
}

async function* chunksOf(body: Response["body"], timer: NodeJS.Timeout): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body ?? []) {
      timer.refresh()
      yield chunk
    }
  } catch (error) {
    throw failure(error)
  } finally {
    clearTimeout(timer)
  }
}

/** What `fetch` throws, and its bodies. */
function failure(error: unknown): unknown {
  if (error instanceof HubError || error instanceof PassingFailure) return error
  const { code, message } = ((error as Error).cause ?? error) as { code?: string; message?: string }
  const reason = code === undefined ? (message ?? String(error)) : (NETWORK[code] ?? code)
  return new PassingFailure(reason, undefined, error)
}

/** Of the operating system and of undici. */
const NETWORK: Readonly<Record<string, string>> = {
  EAI_AGAIN: "the server's name cannot be looked up (is there a network?)",
  ECONNREFUSED: "the server takes no connections",
  ECONNRESET: "the connection was dropped",
  ENETUNREACH: "there is no network",
  ENOTFOUND: "there is no server of this name",
  EPIPE: "the connection was dropped",
  ETIMEDOUT: "the server does not answer",
  UND_ERR_BODY_TIMEOUT: "the server stopped sending",
  UND_ERR_CONNECT_TIMEOUT: "the server does not answer",
  UND_ERR_HEADERS_TIMEOUT: "the server does not answer",
  UND_ERR_SOCKET: "the connection was dropped",
}
