import type { KvSequence } from "../../src/cache/kv_sequence.js"
import type { KvStore } from "../../src/cache/kv_store.js"
import type { PageIO } from "../../src/cache/page_io.js"

/** What a step writes for `group` at the last of `tokens`: all that keys and values depend on. */
function contentOf(group: number, tokens: readonly number[]): number {
  let hash = 0x811c9dc5 ^ group
  for (const token of [tokens.length, ...tokens]) hash = Math.imul(hash ^ token, 0x01000193) ^ (hash >>> 13)
  return hash >>> 0
}

/** A device whose vectors of keys are one number each, which tells the tokens they were computed from. */
export class FakeDevice implements PageIO {
  readonly slots: Uint32Array

  constructor(private readonly store: KvStore) {
    this.slots = new Uint32Array(store.pages * store.page_size)
  }

  /** A step of rows `tokens[start..]` of each sequence, with the copies before it, all at the same time. */
  step(rows: readonly { sequence: KvSequence; tokens: readonly number[]; start: number }[]): void {
    const { store, slots } = this
    const before = slots.slice()
    const { page_size } = store
    for (const { from, to } of store.takeCopies()) {
      slots.set(before.subarray(from * page_size, (from + 1) * page_size), to * page_size)
    }
    for (const { sequence, tokens, start } of rows) {
      for (const group of store.groups.keys()) {
        const written = new Uint32Array(tokens.length - start)
        sequence.slots(group, start, written.length, written, 0)
        for (const [i, slot] of written.entries()) slots[slot] = contentOf(group, tokens.slice(0, start + i + 1))
      }
    }
    for (const row of rows) {
      for (let position = row.start; position < row.tokens.length; position++) this.check(row, position)
    }
  }

  /** Throws unless a query at `position` of the sequence reads what was computed from `tokens`. */
  check({ sequence, tokens }: { sequence: KvSequence; tokens: readonly number[] }, position: number): void {
    const { groups, page_size, pool } = this.store
    for (const [group, { window }] of groups.entries()) {
      const table = sequence.table(group)
      const first = window === null ? 0 : Math.max(0, position - window + 1)
      for (let seen = first; seen <= position && seen < tokens.length; seen++) {
        const page = pool.sourceOf(table[Math.floor(seen / page_size)])
        const found = this.slots[page * page_size + (seen % page_size)]
        if (found === contentOf(group, tokens.slice(0, seen + 1))) continue
        throw new Error(`position ${seen} as seen from ${position} in group ${group} is not there (page ${page})`)
      }
    }
  }

  // The storages' real bytes are never touched: a page is its slots, said in the first storage's bytes.
  async read(storages: readonly { byteLength: number }[], offset: number, length: number): Promise<Uint8Array[]> {
    const { page_size } = this.store
    const page = offset / length
    return storages.map((_, i) => {
      const bytes = new Uint8Array(length)
      if (i === 0) bytes.set(new Uint8Array(this.slots.slice(page * page_size, (page + 1) * page_size).buffer))
      return bytes
    })
  }

  async write(_: readonly unknown[], offset: number, [bytes]: readonly Uint8Array[]): Promise<void> {
    const { page_size } = this.store
    this.slots.set(new Uint32Array(bytes.slice(0, 4 * page_size).buffer), (offset / bytes.length) * page_size)
  }
}
