import type { Redis } from "ioredis"
import { RequestError } from "../request_error.js"
import { type FileObject, isFinished, type StoredBatch } from "./objects.js"
import type { BatchStore, StoredResult } from "./store.js"

/** All keys begin with it. The braces keep them on one node of a cluster, as scripts want them. */
export const PREFIX = "{minerva}"

const FILES = `${PREFIX}:files`
const BATCHES = `${PREFIX}:batches`
const UNFINISHED = `${PREFIX}:unfinished`
const piecesOf = (file: string) => `${PREFIX}:pieces:${file}`
const resultsOf = (batch: string) => `${PREFIX}:results:${batch}`
const countsOf = (batch: string) => `${PREFIX}:counts:${batch}`

/** Seconds after which pieces go that nobody made a file of, and results that nobody removed. */
const KEEP_PIECES = 24 * 3600
const KEEP_RESULTS = 60 * 24 * 3600

/** Puts a batch in place of what it was, unless that is something else by now. */
const CHANGE = `
  if redis.call("HGET", KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
  redis.call("HSET", KEYS[1], ARGV[1], ARGV[3])
  redis.call(ARGV[4] == "1" and "SREM" or "SADD", KEYS[2], ARGV[1])
  return 1`

const ADD_RESULT = `
  if redis.call("SISMEMBER", KEYS[1], ARGV[1]) == 0 then return 0 end
  if redis.call("HSETNX", KEYS[2], ARGV[2], ARGV[3] .. ARGV[4]) == 0 then return 0 end
  redis.call("HINCRBY", KEYS[3], ARGV[3] == "1" and "completed" or "failed", 1)
  redis.call("EXPIRE", KEYS[2], ${KEEP_RESULTS})
  redis.call("EXPIRE", KEYS[3], ${KEEP_RESULTS})
  return 1`

/** Keeps files and batches in Redis or Valkey, where all processes find them that share its queue. */
export class RedisStore implements BatchStore {
  constructor(private readonly redis: Redis) {}

  async writePiece(file: string, piece: number, bytes: Uint8Array): Promise<void> {
    const key = piecesOf(file)
    // A copy: the caller goes on using the bytes.
    await this.reach((redis) => redis.hset(key, String(piece), Buffer.from(bytes)))
    if (piece === 0) await this.reach((redis) => redis.expire(key, KEEP_PIECES))
  }

  readPiece(file: string, piece: number): Promise<Uint8Array | null> {
    return this.reach((redis) => redis.hgetBuffer(piecesOf(file), String(piece)))
  }

  async addFile(file: FileObject): Promise<void> {
    await this.reach((redis) => redis.persist(piecesOf(file.id)))
    await this.reach((redis) => redis.hset(FILES, file.id, JSON.stringify(file)))
  }

  async file(id: string): Promise<FileObject | null> {
    const text = await this.reach((redis) => redis.hget(FILES, id))
    return text === null ? null : (JSON.parse(text) as FileObject)
  }

  async files(): Promise<readonly FileObject[]> {
    return inOrder(await this.reach((redis) => redis.hvals(FILES)))
  }

  async removeFile(id: string): Promise<boolean> {
    const removed = await this.reach((redis) => redis.hdel(FILES, id))
    await this.reach((redis) => redis.unlink(piecesOf(id)))
    return removed > 0
  }

  async addBatch(batch: StoredBatch): Promise<void> {
    await this.reach((redis) =>
      redis.multi().hset(BATCHES, batch.id, JSON.stringify(batch)).sadd(UNFINISHED, batch.id).exec(),
    )
  }

  async batch(id: string): Promise<StoredBatch | null> {
    const text = await this.reach((redis) => redis.hget(BATCHES, id))
    return text === null ? null : (JSON.parse(text) as StoredBatch)
  }

  async batches(which: "all" | "unfinished"): Promise<readonly StoredBatch[]> {
    if (which === "all") return inOrder(await this.reach((redis) => redis.hvals(BATCHES)))
    const ids = await this.reach((redis) => redis.smembers(UNFINISHED))
    if (ids.length === 0) return []
    const found = await this.reach((redis) => redis.hmget(BATCHES, ...ids))
    return inOrder(found.filter((text) => text !== null))
  }

  async changeBatch(id: string, change: (batch: StoredBatch) => StoredBatch | null): Promise<StoredBatch | null> {
    for (;;) {
      const text = await this.reach((redis) => redis.hget(BATCHES, id))
      const changed = text === null ? null : change(JSON.parse(text) as StoredBatch)
      if (text === null || changed === null) return null
      const values = [id, text, JSON.stringify(changed), isFinished(changed) ? "1" : "0"]
      if (await this.reach((redis) => redis.eval(CHANGE, 2, BATCHES, UNFINISHED, ...values))) return changed
    }
  }

  async removeBatch(id: string): Promise<void> {
    await this.removeResults(id)
    await this.reach((redis) => redis.multi().hdel(BATCHES, id).srem(UNFINISHED, id).exec())
  }

  async addResult(batch: string, index: number, { ok, text }: StoredResult): Promise<void> {
    const values = [batch, String(index), ok ? "1" : "0", text]
    const keys = [UNFINISHED, resultsOf(batch), countsOf(batch)]
    await this.reach((redis) => redis.eval(ADD_RESULT, 3, ...keys, ...values))
  }

  async results(batch: string, from: number, to: number): Promise<readonly (StoredResult | null)[]> {
    const fields = Array.from({ length: to - from }, (_, index) => String(from + index))
    const found = await this.reach((redis) => redis.hmget(resultsOf(batch), ...fields))
    return found.map((value) => (value === null ? null : { ok: value[0] === "1", text: value.slice(1) }))
  }

  async answered(batch: string): Promise<ReadonlySet<number>> {
    return new Set((await this.reach((redis) => redis.hkeys(resultsOf(batch)))).map(Number))
  }

  async counts(batch: string): Promise<{ completed: number; failed: number }> {
    const { completed = 0, failed = 0 } = await this.reach((redis) => redis.hgetall(countsOf(batch)))
    return { completed: Number(completed), failed: Number(failed) }
  }

  async removeResults(batch: string): Promise<void> {
    await this.reach((redis) => redis.unlink(resultsOf(batch), countsOf(batch)))
  }

  async close(): Promise<void> {
    this.redis.disconnect()
  }

  /** @throws {RequestError} `unavailable` where Redis does not answer */
  private async reach<T>(work: (redis: Redis) => Promise<T>): Promise<T> {
    try {
      return await work(this.redis)
    } catch (cause) {
      throw new RequestError("unavailable", "the server that keeps files and batches does not answer", {
        retry_after: 5,
        cause,
      })
    }
  }
}

function inOrder<T extends { readonly id: string }>(texts: readonly string[]): readonly T[] {
  const objects = texts.map((text) => JSON.parse(text) as T)
  return objects.sort((a, b) => (a.id < b.id ? -1 : 1))
}
