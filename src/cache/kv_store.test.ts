import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { FakeDevice } from "../../test/cache/fake_device.js"
import { events, Schedule, type StoreShape, storeOf, storeShape } from "../../test/cache/kv_schedule.js"
import { KvCapacityError, KvPoolError } from "./kv_errors.js"
import type { KvSequence } from "./kv_sequence.js"
import { KvStore } from "./kv_store.js"

/** `count` tokens that no other `base` has. */
const tokensOf = (base: number, count: number) => Array.from({ length: count }, (_, i) => 1000 * base + i)

/** A store with a device, on which a conversation is one call. */
class Desk {
  readonly store: KvStore
  readonly device: FakeDevice

  constructor(shape: StoreShape) {
    this.store = storeOf({ max_context: 1000, ...shape })
    this.device = new FakeDevice(this.store)
  }

  /** Computes the rest of `tokens`, a few at a time. */
  compute(sequence: KvSequence, tokens: readonly number[], chunk = 1): void {
    while (sequence.length < tokens.length) {
      const start = sequence.length
      const end = Math.min(tokens.length, start + chunk)
      expect(sequence.extend(end - start)).toBe(true)
      this.device.step([{ sequence, tokens: tokens.slice(0, end), start }])
      sequence.commit(tokens.slice(start, end))
    }
  }

  /** Opens, computes and releases. Returns how many tokens there were already. */
  ask(tokens: readonly number[]): number {
    const sequence = this.store.open(tokens)
    const { length } = sequence
    this.compute(sequence, tokens)
    sequence.release()
    return length
  }
}

describe("KvStore", () => {
  it("reads what each sequence would alone, whatever happens, and has every page back in the end", async () => {
    const seen = { hits: 0, evictions: 0, shared: 0 }
    await fc.assert(
      fc.asyncProperty(storeShape, events, async (shape, events) => {
        const store = storeOf(shape)
        const schedule = new Schedule(store)
        for (const event of events) {
          await schedule.play(event)
          seen.shared += store.stats().shared
        }
        seen.hits += store.stats().hit_tokens
        seen.evictions += store.stats().evictions
        schedule.finish()
      }),
      { numRuns: 500 },
    )
    // The property would hold of a store that shares nothing.
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(1000)
  })

  it("computes only what is new in each turn, though turns do not end where pages do", () => {
    const desk = new Desk({ windows: [null, 8], pages: 60, page_size: 4 })
    let history = tokensOf(1, 10)
    expect(desk.ask(history)).toBe(0)
    for (let turn = 2; turn < 8; turn++) {
      const known = history.length
      history = [...history, ...tokensOf(turn, 7)]
      expect(desk.ask(history)).toBe(known)
    }
  })

  it("keeps one copy of what conversations share, and no tails that go on elsewhere", () => {
    const desk = new Desk({ windows: [null], pages: 100, page_size: 4 })
    const prefix = tokensOf(1, 40)
    desk.ask(prefix)
    for (let user = 2; user < 7; user++) expect(desk.ask([...prefix, ...tokensOf(user, 4)])).toBe(40)
    expect(desk.store.stats()).toMatchObject({ cached: 15, used: 0, free: 85, hit_tokens: 200 })
    desk.ask([...prefix, ...tokensOf(2, 6)])
    desk.ask([...prefix, ...tokensOf(2, 7)])
    desk.ask([...prefix, ...tokensOf(2, 8)])
    expect(desk.store.stats().cached).toBe(16)
  })

  it("takes the prompt's last page as far as some other page begins like it", () => {
    const desk = new Desk({ windows: [null, 3], pages: 60, page_size: 8 })
    const prefix = tokensOf(1, 8)
    for (const rest of [
      [1, 2],
      [1, 2, 3, 4, 5],
      [1, 2, 3],
      [1, 9, 9, 9, 9, 9],
    ])
      desk.ask([...prefix, ...rest])
    expect(desk.store.open([...prefix, 1, 2, 3, 4, 7, 7, 7]).length).toBe(12)
    expect(desk.store.open([...prefix, 1, 2, 3, 4]).length).toBe(11)
    expect(desk.store.open(prefix).length).toBe(7)
  })

  it("goes back to any page end whose window is kept, long after it has slid on", () => {
    const desk = new Desk({ windows: [null, 6, 6], pages: 100, page_size: 4 })
    const tokens = tokensOf(1, 60)
    for (const wanted of [60, 57, 40, 23, 8, 0]) {
      const sequence = desk.store.open()
      desk.compute(sequence, tokens, 7)
      expect(sequence.truncate(wanted)).toBe(wanted)
      const other = [...tokens.slice(0, wanted), ...tokensOf(2, 20)]
      desk.compute(sequence, other, 3)
      sequence.release()
    }
  })

  it("goes back further when windows had to go, and computes nothing wrong", () => {
    const desk = new Desk({ windows: [null, 6, 6], pages: 22, page_size: 4 })
    const tokens = tokensOf(1, 70)
    const sequence = desk.store.open()
    desk.compute(sequence, tokens)
    expect(desk.store.stats().evictions).toBeGreaterThan(5)
    const kept = sequence.truncate(30)
    expect(kept).toBe(0)
    desk.compute(sequence, tokens)
  })

  it("gives up windows within conversations first, oldest first, and the ends of none", () => {
    const desk = new Desk({ windows: [null, 6], pages: 28, page_size: 4 })
    const [first, second] = [tokensOf(1, 40), tokensOf(2, 20)]
    desk.ask(first)
    // Used again: what is before it is older.
    expect(desk.ask([...first.slice(0, 20), 7])).toBe(20)
    desk.ask(second)
    const lengths = [40, 36, 32, 28, 24, 20, 16, 12, 8].map((length) => {
      const probe = desk.store.open([...first.slice(0, length), 9])
      probe.release()
      return probe.length
    })
    expect(lengths).toEqual([40, 36, 32, 20, 20, 20, 0, 0, 0])
    expect(desk.store.open([...second, 9]).length).toBe(20)
  })

  it("keeps an idle conversation's end while another grows at its side", () => {
    const desk = new Desk({ windows: [null, 6], pages: 40, page_size: 4 })
    const [idle, busy] = [tokensOf(1, 40), tokensOf(2, 90)]
    desk.ask(idle)
    desk.ask(busy)
    expect(desk.store.stats().evictions).toBeGreaterThan(10)
    for (const tokens of [idle, busy]) expect(desk.store.open([...tokens, 9]).length).toBe(tokens.length)
  })

  it("keeps what many begin with, though each fills the pool with its own", () => {
    const desk = new Desk({ windows: [null, 6], pages: 40, page_size: 4 })
    const prefix = tokensOf(1, 40)
    desk.ask([...prefix, 1, 2, 3])
    for (let user = 2; user < 20; user++) expect(desk.ask([...prefix, ...tokensOf(user, 50)])).toBe(40)
    expect(desk.store.stats().evictions).toBeGreaterThan(100)
  })

  it("gives up whole conversations from their ends, least recently used first", () => {
    const desk = new Desk({ windows: [null], pages: 30, page_size: 4 })
    const [a, b, c] = [1, 2, 3].map((base) => tokensOf(base, 40))
    for (const each of [a, b, c]) desk.ask(each)
    desk.ask([...a, 5])
    desk.ask(tokensOf(4, 20))
    const lengths = [b, a, c].map((tokens) => desk.store.open([...tokens, 9]).length)
    expect(lengths).toEqual([16, 40, 40])
  })

  it("shares pages with forks until one of them writes", () => {
    const { store, device } = new Desk({ windows: [null, 3], pages: 20, page_size: 4 })
    const sequence = store.open()
    sequence.extend(6)
    device.step([{ sequence, tokens: tokensOf(1, 6), start: 0 }])
    sequence.commit(tokensOf(1, 6))
    const twins = [sequence.fork(), sequence.fork()]
    expect(store.stats()).toMatchObject({ used: 4, shared: 4, cached: 0 })
    for (const twin of twins) twin.extend(1)
    // Each of the two groups has its last page copied, for each of the two.
    const copies = store.takeCopies()
    expect(copies).toHaveLength(4)
    expect(new Set(copies.map(({ from }) => from)).size).toBe(2)
    sequence.extend(1)
    expect(store.takeCopies()).toEqual([])
  })

  it("copies from where a page's content is now, not from where it will be", () => {
    const { store, device } = new Desk({ windows: [null, 3], pages: 20, page_size: 4 })
    const sequence = store.open()
    sequence.extend(6)
    device.step([{ sequence, tokens: tokensOf(1, 6), start: 0 }])
    const [twin, start] = [sequence.fork(), sequence.length]
    expect(sequence.extend(1)).toBe(true)
    expect(sequence.truncate(start)).toBe(start)
    const third = sequence.fork()
    for (const each of [sequence, third]) expect(each.extend(1)).toBe(true)
    device.step([sequence, third].map((each) => ({ sequence: each, tokens: tokensOf(1, 7), start })))
    for (const each of [sequence, third]) device.check({ sequence: each, tokens: tokensOf(1, 7) }, 7)
    device.check({ sequence: twin, tokens: tokensOf(1, 6) }, 6)
  })

  it("takes back a copy that was planned for others, once they are gone and room is short", () => {
    const { store, device } = new Desk({ windows: [null, 9, 3], pages: 18, page_size: 2 })
    const sequence = store.open()
    sequence.extend(3)
    device.step([{ sequence, tokens: tokensOf(1, 3), start: 0 }])
    const twin = sequence.fork()
    expect(sequence.extend(1)).toBe(true)
    expect(sequence.truncate(3)).toBe(3)
    expect(twin.extend(8)).toBe(false)
    twin.release()
    expect(sequence.extend(8)).toBe(true)
    expect(store.takeCopies()).toEqual([])
    device.check({ sequence, tokens: tokensOf(1, 3) }, 3)
  })

  it("says no when others hold the pages, and throws when nobody would have to", () => {
    const store = storeOf({ windows: [null, 4], pages: 8, page_size: 4, max_context: 100 })
    const [one, two] = [store.open(), store.open()]
    expect(one.extend(8)).toBe(true)
    expect(two.extend(9)).toBe(false)
    expect(two.length).toBe(0)
    expect(store.stats()).toMatchObject({ free: 4, used: 4 })
    expect(() => two.extend(17)).toThrow(KvCapacityError)
    expect(() => two.extend(17)).toThrow("17 tokens does not fit the memory for keys and values: 16 tokens would")
    one.release()
    one.release()
    expect(two.extend(16)).toBe(true)
    expect(() => two.extend(85)).toThrow("101 tokens does not fit")
    expect(() => store.requireFits(30, 1)).toThrow("24 tokens would")
    store.requireFits(store.tokensThatFit(1), 1)
    expect(() => one.extend(1)).toThrow("released")
  })

  it("refuses tokens of positions that are not there", () => {
    const sequence = storeOf({ windows: [null], pages: 8, page_size: 4 }).open()
    sequence.extend(3)
    expect(() => sequence.commit([1, 2, 3, 4])).toThrow("at most 3 tokens")
  })

  it("lays layers out in columns, one table for each window", () => {
    const shape = { num_key_value_heads: 8, head_dim: 64 }
    const layers = [128, null, 128, null, 128].map((window) => ({ ...shape, window }))
    const options = { size: { bytes: 1_000_000 }, max_context: 1000, page_size: 16 }
    const store = new KvStore(layers, { ...options, format: "int4" })
    expect(store.groups).toEqual([
      { window: null, layers: [1, 3] },
      { window: 128, layers: [0, 2, 4] },
    ])
    expect(store.layers.map(({ keys, group }) => [keys.name, group])).toEqual([
      ["keys.0", 1],
      ["keys.0", 0],
      ["keys.1", 1],
      ["keys.1", 0],
      ["keys.2", 1],
    ])
    expect(store.layers[4].values).toMatchObject({ name: "values.2", dtype: "uint32", shape: [40 * 16, 8, 8] })
    expect(store.storages.reduce((sum, { byteLength }) => sum + byteLength, 0)).toBe(40 * store.page_bytes)
    expect(store.max_pages).toBe(63)
    for (const format of ["float32", "float16", "int8"] as const) {
      const [{ keys }] = new KvStore(layers, { ...options, format }).layers
      expect([keys.dtype, keys.shape[2]]).toEqual(format === "int8" ? ["uint32", 16] : [format, 64])
    }
  })

  it("refuses what it cannot lay out", () => {
    const layer = { num_key_value_heads: 8, head_dim: 64, window: null }
    const options = { size: { pages: 4 }, max_context: 100, format: "int4" } as const
    expect(() => new KvStore([layer, { ...layer, head_dim: 32 }], options)).toThrow("layers[1]: expected 8 heads of 64")
    expect(() => new KvStore([], options)).toThrow("at least one layer")
    expect(() => new KvStore([{ ...layer, head_dim: 20 }], options)).toThrow("multiple of 8")
    expect(() => new KvStore([{ ...layer, window: 0 }], options)).toThrow("layers[0].window")
    expect(() => new KvStore([layer], { ...options, size: { pages: 0 } })).toThrow("pages")
    expect(() => new KvStore([layer], { ...options, size: { bytes: 1000 } })).toThrow(KvPoolError)
    expect(() => new KvStore([layer], { ...options, size: { bytes: Number.NaN } })).toThrow(KvPoolError)
    expect(() => new KvStore([layer], { ...options, max_context: 1.5 })).toThrow("max_context")
    expect(() => new KvStore([layer], { ...options, page_size: 0 })).toThrow("page_size")
  })
})
