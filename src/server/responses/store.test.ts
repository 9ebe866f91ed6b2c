import fc from "fast-check"
import { mkdtemp, rm } from "node:fs/promises"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Worker } from "node:worker_threads"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { answer, appOf } from "../../../test/server/responses/checked.js"
import { scriptedModel } from "../../../test/server/scripted_model.js"
import { SqliteResponseStore } from "./node_response_store.js"
import type { ResponseObject } from "./response.js"
import { MemoryResponseStore, type ResponseStore, type StoredResponse, type StoreLimits } from "./store.js"

const { Database } = createRequire(import.meta.url)("node-sqlite3-wasm") as typeof import("node-sqlite3-wasm")

const stored = (id: string, text: string): StoredResponse => ({
  response: { id, instructions: text } as ResponseObject,
  input: [],
})
const sizeOf = (response: StoredResponse) => JSON.stringify(response).length

const STORES: Record<string, (limits?: StoreLimits) => ResponseStore> = {
  "in memory": (limits) => new MemoryResponseStore(limits),
  "in a database": (limits) => new SqliteResponseStore(new Database(), limits),
}

describe.each(Object.entries(STORES))("responses kept %s", (_, open) => {
  it("come back as they were put last, whatever they are called", async () => {
    const store = open()
    for (const id of ["resp_1", "__proto__", "'; DROP TABLE responses; --", ""]) {
      expect(await store.get(id)).toBeUndefined()
      await store.put(stored(id, "one"))
      await store.put(stored(id, "ä 😀 \ud800 \u0000"))
      expect(await store.get(id)).toEqual(stored(id, "ä 😀 \ud800 \u0000"))
      expect(await store.delete(id)).toBe(true)
      expect(await store.delete(id)).toBe(false)
      expect(await store.get(id)).toBeUndefined()
    }
  })

  it("make room: those first that were not used for longest", async () => {
    const id = fc.integer({ min: 0, max: 5 }).map(String)
    const step = fc.oneof(
      fc.tuple(fc.constant("put"), id, fc.integer({ min: 0, max: 60 })),
      fc.tuple(fc.constant("get"), id, fc.constant(0)),
      fc.tuple(fc.constant("delete"), id, fc.constant(0)),
    )
    const limits = { responses: 4, bytes: 400 }
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 12, maxLength: 40 }), async (steps) => {
        const store = open(limits)
        /** The truth: a list, the one used last at its end. */
        let kept: StoredResponse[] = []
        for (const [what, id, length] of steps) {
          const found = kept.find(({ response }) => response.id === id)
          kept = kept.filter((each) => each !== found)
          if (what === "delete") {
            expect(await store.delete(id)).toBe(found !== undefined)
          } else if (what === "get") {
            expect(await store.get(id)).toEqual(found)
            if (found) kept.push(found)
          } else {
            kept.push(stored(id, "x".repeat(length)))
            await store.put(kept.at(-1)!)
            while (kept.length > limits.responses || kept.reduce((sum, each) => sum + sizeOf(each), 0) > limits.bytes) {
              kept.shift()
            }
          }
        }
        for (const { response } of kept) expect(await store.get(response.id)).toBeDefined()
        for (const id of ["0", "1", "2", "3", "4", "5"]) {
          const isKept = kept.some(({ response }) => response.id === id)
          expect((await store.get(id)) !== undefined).toBe(isKept)
        }
      }),
      { numRuns: 150 },
    )
  })

  it("do without one that is larger than the whole room", async () => {
    const store = open({ responses: 9, bytes: 200 })
    await store.put(stored("large", "x".repeat(1000)))
    expect(await store.get("large")).toBeUndefined()
    await store.put(stored("small", "x"))
    expect(await store.get("small")).toBeDefined()
  })
})

describe("responses in a folder", () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "responses-"))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it("survive the process, and are continued after it", async () => {
    const file = join(folder, "a.sqlite")
    const model = scriptedModel(
      (prompt) => `<|channel|>final<|message|>${prompt.split("<|start|>user").length - 1}<|return|>`,
    )
    const before = new Database(file)
    const first = await answer(appOf(model, new SqliteResponseStore(before)), { input: "One" })
    const unfinished = { ...first, id: "resp_unfinished", background: true, status: "in_progress" } as const
    await new SqliteResponseStore(before).put({ response: unfinished, input: [] })
    before.close()

    const after = new Database(file)
    const app = appOf(model, new SqliteResponseStore(after))
    expect(await (await app.request(`/v1/responses/${first.id}`)).json()).toEqual(first)
    const second = await answer(app, { input: "Two", previous_response_id: first.id })
    expect(second.output).toMatchObject([{ content: [{ text: "2" }] }])
    // Nobody writes it any more.
    const lost = (await (await app.request("/v1/responses/resp_unfinished")).json()) as ResponseObject
    expect(lost).toMatchObject({ status: "failed", error: { code: "server_error" } })
    after.close()
  })

  it("count what is there when they are opened", async () => {
    const file = join(folder, "b.sqlite")
    const before = new Database(file)
    const store = new SqliteResponseStore(before)
    for (const id of ["1", "2", "3"]) await store.put(stored(id, "x"))
    await store.get("1")
    before.close()
    const after = new Database(file)
    const smaller = new SqliteResponseStore(after, { responses: 3, bytes: 1 << 20 })
    await smaller.put(stored("4", "x"))
    const found = await Promise.all(["1", "2", "3", "4"].map(async (id) => (await smaller.get(id)) !== undefined))
    expect(found).toEqual([true, false, true, true])
    after.close()
  })

  it("are written in a worker, too", async () => {
    const file = join(folder, "c.sqlite")
    const code = `
      const { parentPort, workerData } = require("node:worker_threads")
      Promise.all([import(workerData.module), import("node-sqlite3-wasm")]).then(async ([{ SqliteResponseStore }]) => {
        const { Database } = require("node-sqlite3-wasm")
        const database = new Database(workerData.file)
        await new SqliteResponseStore(database).put({ response: { id: "w" }, input: [] })
        database.close()
        parentPort.postMessage("done")
      })`
    const module = new URL("./node_response_store.js", import.meta.url).href
    const worker = new Worker(code, { eval: true, workerData: { file, module } })
    await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject))
    await worker.terminate()
    const database = new Database(file)
    expect(await new SqliteResponseStore(database).get("w")).toEqual({ response: { id: "w" }, input: [] })
    database.close()
  })
})
