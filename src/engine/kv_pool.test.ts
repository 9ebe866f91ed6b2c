import { fileURLToPath } from "node:url"
import fc from "fast-check"
import { expect, it } from "vitest"
import { ReferenceBackend } from "../backends/reference/backend.js"
import { unreadModel } from "../../test/models/unread.js"
import { fitPool } from "./kv_pool.js"
import { MemoryLimitError } from "./memory_check.js"
import { cacheMemoryAt, type KvNeeds, planMemory, storeFor } from "./memory_plan.js"
import { loadModel } from "./node_model.js"

const tiny = fileURLToPath(new URL("../../../models/minerva-tiny", import.meta.url))
const backend = new ReferenceBackend()
const { model } = unreadModel("tiny", "mlx")
const own = model.config.max_position_embeddings
const wanted: KvNeeds = { format: "float32", max_context: own, max_sequences: 8 }
const one = await planMemory(model, backend, wanted)
const besides = one.total - one.caches

it("is one conversation where nothing bounds it, and is not counted", async () => {
  expect(await fitPool(model, backend, wanted, {}, true)).toEqual({ needs: wanted })
})

it("takes all that a limit or kv_memory leaves, and not a page more", async () => {
  const { page_bytes, pages } = storeFor(model, backend, wanted)
  const bounds = fc.record({
    limit: fc.option(fc.integer({ min: 0, max: 10 * one.caches }), { nil: undefined }),
    memory: fc.option(fc.integer({ min: one.caches, max: 20 * one.caches }), { nil: undefined }),
    maxCache: fc.option(fc.integer({ min: one.largestCache.byteLength, max: 12 * one.largestCache.byteLength }), {
      nil: undefined,
    }),
  })
  const property = fc.asyncProperty(bounds, async ({ limit, memory, maxCache }) => {
    const given = { limit: limit === undefined ? undefined : one.total + limit, maxCache }
    const fitted = await fitPool(model, backend, { ...wanted, bytes: memory }, given, true)
    const pool = storeFor(model, backend, fitted.needs)
    const at = async (n: number) => cacheMemoryAt(model, backend, { ...wanted, bytes: n * page_bytes })
    const fits = async (n: number) => {
      const { bytes, largest } = await at(n)
      return (
        bytes <= Math.min(memory ?? Infinity, one.caches + (limit ?? Infinity)) &&
        largest.byteLength <= (maxCache ?? Infinity)
      )
    }
    expect(fitted.needs.max_context).toBe(own)
    expect(await fits(pool.pages)).toBe(true)
    const most = memory !== undefined ? Infinity : limit !== undefined ? 8 * pages : pages
    expect(pool.pages === most || !(await fits(pool.pages + 1))).toBe(true)
    if (!fitted.plan) return
    const { caches, total, largestCache } = fitted.plan
    const { bytes, largest } = await at(pool.pages)
    expect([caches, total, largestCache]).toEqual([bytes, besides + bytes, largest])
  })
  await fc.assert(property, { numRuns: 25 })
})

it.each(["limit", "maxCache", "memory"] as const)(
  "shortens a context that nobody asked for to what fits under %s, and refuses one that somebody did",
  async (kind) => {
    const half = await planMemory(model, backend, { ...wanted, max_context: own / 2 })
    const bounds = { limit: besides + half.caches, maxCache: half.largestCache.byteLength, memory: half.caches }
    const { memory, ...others } = { [kind]: bounds[kind] } as Partial<typeof bounds>
    const { needs, plan } = await fitPool(model, backend, { ...wanted, bytes: memory }, others, true)
    expect(needs.max_context).toBeGreaterThanOrEqual(own / 2)
    expect(needs.max_context).toBeLessThan(own)
    expect(plan!.max_context).toBe(needs.max_context)
    const refused = fitPool(model, backend, { ...wanted, bytes: memory }, others, false)
    await expect(refused).rejects.toThrow(MemoryLimitError)
    await expect(refused).rejects.toThrow(new RegExp(`up to ${needs.max_context} tokens fit`))
  },
)

it("does not shorten a context to less than 1024 tokens, or the model's own", async () => {
  const long = Object.assign(Object.create(model), { config: { ...model.config, max_position_embeddings: 1 << 16 } })
  const needs = { ...wanted, max_context: 1 << 16 }
  const whole = await planMemory(long, backend, needs)
  const limitAt = async (max_context: number) =>
    whole.total - whole.caches + (await cacheMemoryAt(long, backend, { ...needs, max_context })).bytes
  const fitted = await fitPool(long, backend, needs, { limit: await limitAt(1024) }, true)
  expect(fitted.needs.max_context).toBeGreaterThanOrEqual(1024)
  await expect(fitPool(long, backend, needs, { limit: (await limitAt(1024)) - 1 }, true)).rejects.toThrow(
    MemoryLimitError,
  )
})

it("is what loadModel takes: more conversations under a limit, a shorter context where less fits", async () => {
  const alone = await loadModel(tiny, { backend, max_context: 256 })
  const bytesOf = (pool: typeof alone) => pool.store.pages * pool.store.page_bytes
  const [pages, bytes] = [alone.store.pages, bytesOf(alone)]
  await alone.close()
  const wide = await loadModel(tiny, { backend, max_context: 256, memory_limit: 1e9, max_sequences: 3 })
  expect(wide.store.pages).toBe(3 * pages)
  await wide.close()
  const exact = await loadModel(tiny, { backend, max_context: 256, kv_memory: bytes })
  expect(exact.store.pages).toBe(pages)
  await exact.close()
  await expect(loadModel(tiny, { backend, max_context: 256, kv_memory: bytes - 1 })).rejects.toThrow("kv_memory is")

  const warnings: string[] = []
  const whole = await loadModel(tiny, { backend })
  const kv_memory = Math.floor(0.8 * bytesOf(whole))
  const { max_context } = whole.info
  await whole.close()
  const short = await loadModel(tiny, { backend, kv_memory, onWarning: (text) => warnings.push(text) })
  expect(short.info.max_context).toBeLessThan(max_context)
  expect(short.info.max_context).toBeGreaterThanOrEqual(1024)
  expect(warnings).toEqual([expect.stringContaining(`the context is ${short.info.max_context} tokens`)])
  // Its longest conversation runs in the pool it got.
  expect(short.store.tokensThatFit(backend.prefillChunk)).toBe(short.info.max_context)
  await short.close()
})
