import fc from "fast-check"
import { describe, expect, it, vi } from "vitest"
import { type FakeOffer, fakeOffer } from "../../../test/server/fake_offer.js"
import { RequestError } from "../request_error.js"
import { ModelPool } from "./model_pool.js"

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

const running = (...offers: readonly FakeOffer[]) => offers.map((offer) => offer.running)

/** Asks for a model and lets it go. */
async function use(pool: ModelPool, name: string): Promise<void> {
  const { model, release } = await pool.hold(name)
  expect(model.info.name).toBe(name)
  release()
}

describe("the models on offer", () => {
  const offers = [fakeOffer("openai/gpt-oss-20b"), fakeOffer("tiny", { aliases: ["small", "b:latest"] })]
  const pool = new ModelPool(offers)

  it.each([
    [undefined, "openai/gpt-oss-20b"],
    ["openai/gpt-oss-20b", "openai/gpt-oss-20b"],
    ["OpenAI/GPT-OSS-20b", "openai/gpt-oss-20b"],
    ["gpt-oss-20b", "openai/gpt-oss-20b"],
    ["gpt-oss:20b", "openai/gpt-oss-20b"],
    ["gpt-oss-20b:latest", "openai/gpt-oss-20b"],
    ["tiny", "tiny"],
    ["small:latest", "tiny"],
    ["b:latest", "tiny"],
  ])("%s is %s", async (name, expected) => {
    const { model, release } = await pool.hold(name)
    expect(model.info.name).toBe(expected)
    release()
  })

  it.each(["gpt-4o", "", "tiny:7b", "__proto__", "constructor", "b", "latest", ":latest"])(
    "%j is none",
    async (name) => {
      const message = expect.stringMatching(/openai\/gpt-oss-20b.*tiny|tiny.*openai\/gpt-oss-20b/)
      const error = { kind: "not_found", code: "model_not_found", param: "model", message }
      await expect(pool.hold(name)).rejects.toMatchObject(error)
    },
  )

  it("are listed, loaded or not", async () => {
    const offers = [fakeOffer("a"), fakeOffer("b")]
    const said: unknown[] = []
    const log = { info: () => {}, error: () => {}, warn: (...args: unknown[]) => said.push(args) }
    const broken = { ...fakeOffer("c"), card: () => Promise.reject(new Error("damaged")) }
    const pool = new ModelPool([...offers, broken], { log })
    await use(pool, "b")
    const cards = await pool.list()
    expect(cards.map(({ name, loaded }) => [name, loaded])).toEqual([
      ["a", false],
      ["b", true],
    ])
    // What it can hold is known once it is loaded.
    expect(cards[1].max_context).toBeLessThan(cards[0].max_context)
    expect(said).toEqual([[{ model: "c", error: "damaged" }, "the model cannot be read"]])
  })

  it("have names of their own", () => {
    expect(() => new ModelPool([fakeOffer("a"), fakeOffer("b", { aliases: ["A"] })])).toThrow("two models are named a")
  })

  it("may be none", async () => {
    await expect(new ModelPool([]).hold(undefined)).rejects.toMatchObject({ kind: "not_found" })
  })
})

describe("a pool of models", () => {
  it("loads a model once for all who wait for it", async () => {
    const a = fakeOffer("a")
    const pool = new ModelPool([a])
    const held = await Promise.all(Array.from({ length: 5 }, () => pool.hold("a")))
    expect(new Set(held.map(({ model }) => model)).size).toBe(1)
    for (const { release } of held) release()
    await use(pool, "a")
    expect(a.loads).toBe(1)
  })

  it("loads on for the others when one of them leaves", async () => {
    const a = fakeOffer("a")
    const pool = new ModelPool([a])
    const abort = new AbortController()
    await expect(pool.hold("a", AbortSignal.abort(new Error("left already")))).rejects.toThrow("left already")
    expect(a.loads).toBe(0)
    const both = [pool.hold("a", abort.signal), pool.hold("a")]
    abort.abort(new RequestError("timeout", "enough"))
    await expect(both[0]).rejects.toThrow("enough")
    ;(await both[1]).release()
    await pool.close(0)
    expect(a).toMatchObject({ loads: 1, running: 0 })
  })

  it("unloads whom nobody has used for longest, and only if the memory is needed", async () => {
    const [a, b, c] = ["a", "b", "c"].map((name) => fakeOffer(name, { weights: 40 }))
    const pool = new ModelPool([a, b, c], { memory_limit: 100 })
    await use(pool, "a")
    await use(pool, "b")
    await use(pool, "a")
    expect(running(a, b, c)).toEqual([1, 1, 0])
    await use(pool, "c")
    expect(running(a, b, c)).toEqual([1, 0, 1])
    await use(pool, "b")
    expect(running(a, b, c)).toEqual([0, 1, 1])
  })

  it("never unloads a model that is held, and says what takes the memory", async () => {
    const [a, b] = ["a", "b"].map((name) => fakeOffer(name, { weights: 60e6 }))
    const pool = new ModelPool([a, b], { memory_limit: 100e6 })
    const { release } = await pool.hold("a")
    const refusal = { kind: "unavailable", code: "memory_limit", retry_after: 5 }
    const message = expect.stringMatching(/b take 60.0 MB.*limit is 100 MB.*a, in use, takes 60.0 MB/)
    await expect(pool.hold("b")).rejects.toMatchObject({ ...refusal, message })
    expect(running(a, b)).toEqual([1, 0])
    release()
    release()
    await use(pool, "b")
    expect(running(a, b)).toEqual([0, 1])
  })

  it("refuses at once what could never fit, and unloads nobody for it", async () => {
    const [a, b] = [fakeOffer("a"), fakeOffer("b", { weights: 200e6 })]
    const pool = new ModelPool([a, b], { memory_limit: 100e6 })
    await use(pool, "a")
    const message = expect.stringMatching(/200 MB.*100 MB/)
    await expect(pool.hold("b")).rejects.toMatchObject({ kind: "unavailable", message, retry_after: null })
    expect([a.running, b.loads]).toEqual([1, 0])
  })

  it("leaves room for the others where all fit, and gives all there is where not", async () => {
    const greedy = { weights: 20, most: 1000 }
    const [a, b] = [fakeOffer("a", greedy), fakeOffer("b", greedy)]
    const pool = new ModelPool([a, b], { memory_limit: 100 })
    await use(pool, "a")
    await use(pool, "b")
    expect([a.rooms, b.rooms, running(a, b)]).toEqual([[50], [50], [1, 1]])
    const [c, d] = [fakeOffer("c", { ...greedy, least: 60 }), fakeOffer("d", greedy)]
    const narrow = new ModelPool([c, d], { memory_limit: 100 })
    await use(narrow, "d")
    await use(narrow, "c")
    expect([c.rooms, running(c, d)]).toEqual([
      [50, 100],
      [1, 0],
    ])
    const [e, f] = [fakeOffer("e", { weights: 60, most: 1000 }), fakeOffer("f", { weights: 60 })]
    const alternating = new ModelPool([e, f], { memory_limit: 100 })
    await use(alternating, "e")
    expect(e.rooms).toEqual([100])
  })

  it("loads anew what has crashed", async () => {
    const a = fakeOffer("a")
    const pool = new ModelPool([a])
    const { release } = await pool.hold("a")
    a.crash()
    await turn()
    expect(pool.loaded).toEqual([])
    await use(pool, "a")
    release()
    expect(a).toMatchObject({ loads: 2, running: 1 })
  })

  it("tries again after a failure", async () => {
    const a = fakeOffer("a")
    const { load } = a
    a.load = async () => {
      a.load = load
      throw new RequestError("unavailable", "no luck")
    }
    const pool = new ModelPool([a])
    await expect(pool.hold("a")).rejects.toThrow("no luck")
    await use(pool, "a")
  })

  it("unloads a model that is idle for long, but none that is used again", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    try {
      const [a, b] = [fakeOffer("a"), fakeOffer("b")]
      const pool = new ModelPool([a, b], { idle_unload: 60 })
      await use(pool, "a")
      await use(pool, "b")
      vi.advanceTimersByTime(59_000)
      const { release } = await pool.hold("a")
      vi.advanceTimersByTime(120_000)
      for (let i = 0; i < 5; i++) await turn()
      expect(running(a, b)).toEqual([1, 0])
      release()
      vi.advanceTimersByTime(59_000)
      await use(pool, "a")
      vi.advanceTimersByTime(59_000)
      for (let i = 0; i < 5; i++) await turn()
      expect(running(a, b)).toEqual([1, 0])
      vi.advanceTimersByTime(2000)
      for (let i = 0; i < 5; i++) await turn()
      expect(running(a, b)).toEqual([0, 0])
      await use(pool, "a")
      expect(a.loads).toBe(2)
    } finally {
      vi.useRealTimers()
    }
  })

  it("closes when those who hold models have let go, or at the deadline", async () => {
    const [a, b] = [fakeOffer("a"), fakeOffer("b")]
    const pool = new ModelPool([a, b])
    const { release } = await pool.hold("a")
    const loading = pool.hold("b")
    let isClosed = false
    const closing = pool.close(60_000).then(() => {
      isClosed = true
    })
    const refusal = { kind: "unavailable", message: expect.stringContaining("shutting down") }
    await expect(loading).rejects.toMatchObject(refusal)
    await expect(pool.hold("a")).rejects.toMatchObject(refusal)
    for (let i = 0; i < 5; i++) await turn()
    expect([isClosed, a.running]).toEqual([false, 1])
    release()
    await closing
    expect(running(a, b)).toEqual([0, 0])

    const small = new ModelPool([a, b], { memory_limit: 15 })
    await use(small, "a")
    const abort = new AbortController()
    const left = small.hold("b", abort.signal)
    abort.abort(new Error("enough"))
    await expect(left).rejects.toThrow("enough")
    await turn()
    await small.close(0)
    expect(running(a, b)).toEqual([0, 0])

    const impatient = new ModelPool([a])
    await impatient.hold("a")
    await impatient.close(1)
    expect(a.running).toBe(0)
  })

  it("keeps to the memory and to what is held, whatever comes", async () => {
    const sizes = fc.record({ weights: fc.integer({ min: 1, max: 60 }), least: fc.nat(30), most: fc.nat(100) })
    const requests = fc.record({ which: fc.nat(3), before: fc.nat(4), during: fc.nat(6) })
    await fc.assert(
      fc.asyncProperty(
        fc.array(sizes, { minLength: 1, maxLength: 4 }),
        fc.array(requests, { maxLength: 20 }),
        async (models, asked) => {
          const offers = models.map((size, i) =>
            fakeOffer(String(i), { ...size, most: Math.max(size.least, size.most) }),
          )
          const pool = new ModelPool(offers, { memory_limit: 100 })
          const outcomes = await Promise.all(
            asked.map(async ({ which, before, during }) => {
              for (let i = 0; i < before * 3; i++) await turn()
              const offer = offers[which % offers.length]
              try {
                const { release } = await pool.hold(offer.name)
                for (let i = 0; i < during; i++) {
                  await turn()
                  expect(offer.running).toBe(1)
                  expect(pool.loaded.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(100)
                }
                release()
                return null
              } catch (error) {
                return error
              }
            }),
          )
          for (const outcome of outcomes) if (outcome) expect(outcome).toMatchObject({ code: "memory_limit" })
          // When nobody uses anything, whatever fits alone can be had.
          for (const [i, { weights, least }] of models.entries()) {
            if (weights + least <= 100) await use(pool, String(i))
          }
          await pool.close(0)
          expect(running(...offers)).toEqual(offers.map(() => 0))
        },
      ),
      { numRuns: 100 },
    )
  })
})
