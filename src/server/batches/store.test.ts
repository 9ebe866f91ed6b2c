import { Redis } from "ioredis"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { hasRedis, startRedis, withRedis } from "../../../test/server/batches/redis.js"
import { DataFolder } from "../node_data_folder.js"
import { PIECE, readContent, writeContent } from "./file_content.js"
import { type FileObject, newId, type StoredBatch } from "./objects.js"
import { RedisStore } from "./redis_store.js"
import { SqliteStore } from "./sqlite_store.js"
import type { BatchStore } from "./store.js"

function fileOf(id: string): FileObject {
  return { id, object: "file", bytes: 3, created_at: 1, filename: "a.jsonl", purpose: "batch", status: "processed" }
}

function batchOf(id: string, status: StoredBatch["status"] = "in_progress"): StoredBatch {
  return {
    id,
    object: "batch",
    endpoint: "/v1/responses",
    input_file_id: "file-1",
    completion_window: "24h",
    status,
    created_at: 1,
    expires_at: 2,
    request_counts: { total: 0, completed: 0, failed: 0 },
    metadata: JSON.parse('{"__proto__":"x","a":"\\ud800"}'),
  }
}

function holds(open: () => Promise<BatchStore>) {
  let store: BatchStore
  beforeAll(async () => {
    store = await open()
  })
  afterAll(() => store.close())

  it.each([0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])("a file of %i bytes, whole and in part", async (length) => {
    const bytes = Uint8Array.from({ length }, (_, at) => (at * 7 + (at >> 8)) & 255)
    const id = newId("file-")
    const chunks = [bytes.subarray(0, 100), bytes.subarray(100, PIECE + 50), bytes.subarray(PIECE + 50)]
    expect(await writeContent(store, id, chunks)).toBe(length)
    await store.addFile({ ...fileOf(id), bytes: length })
    const read = async (from?: number, to?: number) => {
      const parts: Uint8Array[] = []
      for await (const part of readContent(store, id, from, to)) parts.push(part)
      return Buffer.concat(parts)
    }
    expect((await read()).equals(bytes)).toBe(true)
    for (const [from, to] of [
      [0, 0],
      [1, 2],
      [PIECE - 3, PIECE + 3],
      [5, length + 9],
    ]) {
      expect((await read(from, to)).equals(bytes.subarray(from, to))).toBe(true)
    }
  })

  it("files in the order of their ids, until they are removed", async () => {
    const ids = Array.from({ length: 20 }, () => newId("file-"))
    for (const id of ids.toReversed()) await store.addFile(fileOf(id))
    expect((await store.files()).map(({ id }) => id).filter((id) => ids.includes(id))).toEqual(ids)
    await store.writePiece(ids[3], 0, new Uint8Array([1]))
    expect(await store.removeFile(ids[3])).toBe(true)
    expect(await store.removeFile(ids[3])).toBe(false)
    expect(await store.file(ids[3])).toBeNull()
    expect(await store.readPiece(ids[3], 0)).toBeNull()
    expect(await store.file(ids[4])).toEqual(fileOf(ids[4]))
  })

  it("batches, finished and not", async () => {
    const [a, b] = [newId("batch_"), newId("batch_")]
    await store.addBatch(batchOf(b))
    await store.addBatch(batchOf(a))
    expect(JSON.stringify(await store.batch(a))).toBe(JSON.stringify(batchOf(a)))
    const unfinished = async () => (await store.batches("unfinished")).map(({ id }) => id)
    expect(await unfinished()).toEqual([a, b])
    await store.changeBatch(a, (batch) => ({ ...batch, status: "completed" }))
    expect(await unfinished()).toEqual([b])
    expect((await store.batches("all")).map(({ id, status }) => [id, status])).toEqual([
      [a, "completed"],
      [b, "in_progress"],
    ])
    expect(await store.changeBatch(a, () => null)).toBeNull()
    expect(await store.changeBatch("batch_none", (batch) => batch)).toBeNull()
    await store.removeBatch(a)
    expect(await store.batch(a)).toBeNull()
  })

  it("a batch that many change at once", async () => {
    const id = newId("batch_")
    await store.addBatch(batchOf(id))
    const add = (batch: StoredBatch) => ({ ...batch, created_at: batch.created_at + 1 })
    await Promise.all(Array.from({ length: 30 }, () => store.changeBatch(id, add)))
    expect((await store.batch(id))!.created_at).toBe(31)
  })

  it("the first of several results, while the batch is unfinished", async () => {
    const id = newId("batch_")
    await store.addBatch(batchOf(id))
    const results = ["one", "two", "three"].map((text) => ({
      ok: text !== "two",
      text: JSON.stringify(`${text} ünï\u0000\ud800`),
    }))
    await Promise.all(results.map((result, index) => store.addResult(id, index * 2, result)))
    await store.addResult(id, 2, { ok: true, text: "late" })
    expect(await store.results(id, 1, 6)).toEqual([null, results[1], null, results[2], null])
    expect(await store.answered(id)).toEqual(new Set([0, 2, 4]))
    expect(await store.counts(id)).toEqual({ completed: 2, failed: 1 })
    await store.changeBatch(id, (batch) => ({ ...batch, status: "completed" }))
    await store.removeResults(id)
    await store.addResult(id, 1, { ok: true, text: "too late" })
    expect(await store.answered(id)).toEqual(new Set())
  })
}

describe("a store in SQLite holds", () => {
  holds(async () => {
    const folder = await DataFolder.open(null)
    return new SqliteStore(folder.database, () => folder.close())
  })
})

describe.skipIf(!hasRedis)(withRedis("a store in Redis holds"), () => {
  let redis: Awaited<ReturnType<typeof startRedis>>
  afterAll(() => redis?.stop())
  holds(async () => {
    redis = await startRedis()
    return new RedisStore(new Redis(redis.url))
  })

  it("and says so where it is not there any more", async () => {
    const other = await startRedis()
    const client = new Redis(other.url, { maxRetriesPerRequest: 1 })
    client.on("error", () => {})
    const store = new RedisStore(client)
    await store.addFile(fileOf("file-1"))
    other.stop()
    await expect(store.files()).rejects.toMatchObject({ kind: "unavailable", status: 503, retry_after: 5 })
    await store.close()
  })
})
