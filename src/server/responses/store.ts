import type { Item } from "./items.js"
import type { ResponseObject } from "./response.js"

/** A response that is kept, and what was asked for it: not what earlier responses hold. */
export interface StoredResponse {
  readonly response: ResponseObject
  readonly input: readonly Item[]
}

/** Where responses are kept. */
export interface ResponseStore {
  /** Undefined for one that was never kept, was deleted, or had to make room. */
  get(id: string): Promise<StoredResponse | undefined>
  /** Keeps a response, or what became of it. */
  put(stored: StoredResponse): Promise<void>
  /** @returns whether it was there */
  delete(id: string): Promise<boolean>
}

/** How much is kept at most. Those that were not used for longest make room. */
export interface StoreLimits {
  readonly responses: number
  /** Of their JSON. */
  readonly bytes: number
}

/** Keeps responses in memory. */
export class MemoryResponseStore implements ResponseStore {
  /** The one used last is last. */
  private readonly kept = new Map<string, string>()
  private size = 0

  constructor(private readonly limits: StoreLimits = { responses: 4096, bytes: 64 << 20 }) {}

  async get(id: string): Promise<StoredResponse | undefined> {
    const json = this.kept.get(id)
    if (json === undefined) return undefined
    this.kept.delete(id)
    this.kept.set(id, json)
    return JSON.parse(json)
  }

  async put(stored: StoredResponse): Promise<void> {
    const { id } = stored.response
    await this.delete(id)
    const json = JSON.stringify(stored)
    this.kept.set(id, json)
    this.size += json.length
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= this.limits.responses && this.size <= this.limits.bytes) break
      await this.delete(oldest)
    }
  }

  async delete(id: string): Promise<boolean> {
    const json = this.kept.get(id)
    this.size -= json?.length ?? 0
    return this.kept.delete(id)
  }
}
