import fc from "fast-check"
import { expect } from "vitest"
import { KvCapacityError } from "../../src/cache/kv_errors.js"
import type { KvLayer } from "../../src/cache/kv_layout.js"
import type { KvSequence } from "../../src/cache/kv_sequence.js"
import { KvStore } from "../../src/cache/kv_store.js"
import { type SwappedSequence, swapIn, swapOut } from "../../src/cache/kv_swap.js"
import { NO_PAGE } from "../../src/cache/prefix_tree.js"
import { FakeDevice } from "./fake_device.js"
import { longestPrefix, seenFromEnds } from "./naive_tree.js"

const layer = (window: number | null): KvLayer => ({ num_key_value_heads: 2, head_dim: 8, window })

/** A small store of layers with these windows. */
export function storeOf({ windows, pages, page_size, max_context = 60 }: StoreShape): KvStore {
  return new KvStore(windows.map(layer), { size: { pages }, page_size, max_context, format: "float32" })
}

export interface StoreShape {
  readonly windows: readonly (number | null)[]
  readonly pages: number
  readonly page_size: number
  readonly max_context?: number
}

export const storeShape: fc.Arbitrary<StoreShape> = fc.record({
  windows: fc.constantFrom([null], [null, 3], [5, null, 5, null, 5], [null, 2, 7], [4], [1, null], [null, 9, 3, 9]),
  pages: fc.integer({ min: 1, max: 40 }),
  page_size: fc.integer({ min: 1, max: 5 }),
})

/** A sequence beside what it should hold: `tokens` are all computed, of which some may not be told yet. */
interface Live {
  sequence: KvSequence
  tokens: number[]
}

/** What happens to a store, one after the other; `a`, `b` and `tokens` mean what the event makes of them. */
export interface Event {
  kind: "open" | "extend" | "batch" | "plan" | "commit" | "truncate" | "fork" | "release" | "swap" | "clear"
  a: number
  b: number
  tokens: number[]
}

const event: fc.Arbitrary<Event> = fc.record({
  kind: fc.constantFrom(
    ...(["open", "open", "extend", "extend", "extend", "batch", "batch", "plan", "commit"] as const),
    ...(["truncate", "truncate", "fork", "release", "release", "swap", "clear"] as const),
  ),
  a: fc.nat(99),
  b: fc.nat(99),
  tokens: fc.array(fc.nat(1), { minLength: 1, maxLength: 12 }),
})

export const events = fc.array(event, { maxLength: 100, size: "max" })

/** Plays events on a store and a device, and checks after each that every sequence reads what it would alone. */
export class Schedule {
  readonly device: FakeDevice
  live: Live[] = []
  private swapped: { saved: SwappedSequence; tokens: number[] }[] = []

  /** @param past what was told before, to be asked for again */
  constructor(
    readonly store: KvStore,
    readonly past: number[][] = [[]],
  ) {
    this.device = new FakeDevice(store)
  }

  async play(event: Event): Promise<void> {
    const pick = this.live[event.a % Math.max(1, this.live.length)]
    if (event.kind === "open") this.open(event)
    else if (event.kind === "clear") this.store.clear()
    else if (event.kind === "swap") await this.swap(event, pick)
    else if (pick) this.change(event, pick)
    for (const each of this.live) {
      demand(each.sequence.length === each.tokens.length, "a sequence is as long as what was computed")
      this.device.check(each, each.tokens.length)
    }
    this.checkTree()
  }

  private checkTree(): void {
    const { tree, pool, groups, page_size, max_context } = this.store
    const met = new Set([tree.root])
    const seen = seenFromEnds(this.store)
    for (const node of tree.nodes) {
      demand(met.has(node.parent!), "parents are used whenever a child is")
      met.add(node)
      for (const [group, page] of node.pages.entries()) {
        if (page === NO_PAGE) continue
        demand(pool.holdersOf(page) > 0, "the tree holds its pages")
        const mayGo = groups[group].window !== null && !seen[group].has(node)
        demand(!mayGo || tree.spare[group].has(node), "a window that nobody needs can be found")
      }
    }
    for (const { sequence, tokens } of this.live) {
      const { length, committed } = sequence
      if (length !== committed || length % page_size !== 0 || length >= max_context) continue
      demand(longestPrefix(this.store, tokens, length) === length, "what a sequence sees, others can")
    }
  }

  /** Every page is free again, once. */
  finish(): void {
    const { store } = this
    for (const { sequence } of this.live) sequence.release()
    store.clear()
    const { pages } = store
    expect(store.stats()).toMatchObject({ free: pages, used: 0, cached: 0, shared: 0 })
    expect(store.takeCopies()).toEqual([])
    expect(new Set(Array.from({ length: pages }, () => store.pool.take())).size).toBe(pages)
    expect(store.pool.take()).toBeUndefined()
  }

  private open({ a, b, tokens }: Event): void {
    const known = this.past[a % this.past.length]
    const prompt = [...known.slice(0, b % (known.length + 1)), ...tokens]
    const limit = Math.min(prompt.length, this.store.max_context) - 1
    const expected = longestPrefix(this.store, prompt, limit)
    const sequence = this.store.open(prompt)
    expect(sequence.length).toBe(expected)
    expect(sequence.length).toBeLessThan(prompt.length)
    const live = { sequence, tokens: prompt.slice(0, sequence.length) }
    this.live.push(live)
    this.device.check(live, sequence.length)
    this.step([live], prompt.slice(sequence.length))
  }

  private change({ kind, a, b, tokens }: Event, pick: Live): void {
    if (kind === "extend") this.step([pick], tokens)
    else if (kind === "plan") this.plan(pick, tokens.length)
    else if (kind === "batch") this.step(this.live, tokens.slice(0, 3))
    else if (kind === "commit") this.commit(pick, b)
    else if (kind === "fork") this.live.push({ sequence: pick.sequence.fork(), tokens: [...pick.tokens] })
    else if (kind === "truncate") {
      const wanted = b % (pick.tokens.length + 1)
      const isKept = longestPrefix(this.store, pick.sequence.tokens, wanted) === wanted
      const kept = pick.sequence.truncate(wanted)
      expect(kept).toBeLessThanOrEqual(wanted)
      if (isKept && wanted % this.store.page_size === 0) expect(kept).toBe(wanted)
      pick.tokens.length = kept
    } else if (kind === "release") this.release(pick, a)
  }

  private step(rows: readonly Live[], tokens: readonly number[]): void {
    const planned: { sequence: KvSequence; tokens: number[]; start: number }[] = []
    for (const [i, live] of rows.entries()) {
      if (!this.live.includes(live)) continue
      if (!this.extend(live, tokens.length, planned)) continue
      const start = live.tokens.length
      live.tokens.push(...tokens.map((token) => (token + i) % 2))
      planned.push({ sequence: live.sequence, tokens: live.tokens, start })
    }
    this.device.step(planned)
  }

  /** Planned for a step, and taken out of it again. */
  private plan(live: Live, count: number): void {
    if (!this.extend(live, count, [])) return
    expect(live.sequence.truncate(live.tokens.length)).toBe(live.tokens.length)
  }

  /** As a scheduler would: whoever is alone has room, or never will. */
  private extend(live: Live, count: number, planned: readonly { sequence: KvSequence }[]): boolean {
    const before = this.store.stats()
    try {
      if (live.sequence.extend(count)) return true
      expect(this.store.stats().free).toBeGreaterThanOrEqual(before.free)
    } catch (error) {
      expect(error).toBeInstanceOf(KvCapacityError)
      this.release(live, 0)
      return false
    }
    expect(this.live.length, "alone, and yet without room").toBeGreaterThan(1)
    if (planned.length > 0) return false
    for (const other of this.live.filter((other) => other !== live)) this.release(other, 1)
    expect(live.sequence.extend(count)).toBe(true)
    return true
  }

  private commit({ sequence, tokens }: Live, count: number): void {
    const rest = tokens.slice(sequence.committed)
    sequence.commit(rest.slice(0, count % (rest.length + 1)))
    expect(sequence.tokens).toEqual(tokens.slice(0, sequence.committed))
  }

  private release(live: Live, told: number): void {
    if (told % 2 === 0) live.sequence.commit(live.tokens.slice(live.sequence.committed))
    this.past.push([...live.tokens])
    live.sequence.release()
    live.sequence.release()
    this.live = this.live.filter((other) => other !== live)
  }

  private async swap({ a, b }: Event, pick: Live | undefined): Promise<void> {
    if (b % 2 === 0 && pick) {
      this.live = this.live.filter((other) => other !== pick)
      this.swapped.push({ saved: await swapOut(this.store, pick.sequence, this.device), tokens: pick.tokens })
      expect(pick.sequence.isReleased).toBe(true)
    } else if (this.swapped.length > 0) {
      const [{ saved, tokens }] = this.swapped.splice(a % this.swapped.length, 1)
      const sequence = await swapIn(this.store, saved, this.device)
      if (sequence) this.live.push({ sequence, tokens })
    }
  }
}

/** As `expect`, which takes too long to be asked a million times. */
function demand(holds: boolean, rule: string): void {
  if (!holds) throw new Error(`does not hold: ${rule}`)
}
