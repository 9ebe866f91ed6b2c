import { expect, it } from "vitest"
import { FakeDevice } from "../../test/cache/fake_device.js"
import { storeOf } from "../../test/cache/kv_schedule.js"
import { swapIn, swapOut } from "./kv_swap.js"
import type { PageIO } from "./page_io.js"

const TOKENS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]

/** A store of 12 pages, of which a conversation of ten tokens holds 5, told up to the sixth. */
function conversation() {
  const store = storeOf({ windows: [null, 4], pages: 12, page_size: 4 })
  const device = new FakeDevice(store)
  const sequence = store.open()
  for (const [start, end] of [
    [0, 9],
    [9, 10],
  ]) {
    sequence.extend(end - start)
    device.step([{ sequence, tokens: TOKENS.slice(0, end), start }])
  }
  sequence.commit(TOKENS.slice(0, 6))
  return { store, device, sequence }
}

it("frees pages when they have been read, not before", async () => {
  const { store, device, sequence } = conversation()
  const reads: (() => void)[] = []
  const slow: PageIO = {
    read: async (...args) => {
      await new Promise<void>((done) => reads.push(done))
      return device.read(...args)
    },
    write: device.write,
  }
  const swapping = swapOut(store, sequence, slow)
  expect(sequence.isReleased).toBe(true)
  expect(store.stats()).toMatchObject({ used: 5 })
  // Whoever comes meanwhile gets other pages.
  const other = store.open()
  expect(other.extend(16)).toBe(false)
  while (store.stats().used > 0) {
    reads.shift()?.()
    await Promise.resolve()
  }
  const saved = await swapping
  expect(saved).toMatchObject({ length: 10, tokens: [1, 2, 3, 4, 5, 6] })
  expect(saved.held.map(({ first, pages }) => [first, pages.length])).toEqual([
    [0, 3],
    [1, 2],
  ])
  expect(other.extend(16)).toBe(true)
  expect(await swapIn(store, saved, device)).toBeUndefined()
  other.release()
  const back = await swapIn(store, saved, device)
  expect([back!.length, back!.committed]).toEqual([10, 6])
  device.check({ sequence: back!, tokens: TOKENS }, 10)
})

it("saves what a page is about to be a copy of, when the sequence is taken out of a planned step", async () => {
  const { store, device, sequence } = conversation()
  const twin = sequence.fork()
  expect(twin.extend(1)).toBe(true)
  expect(twin.truncate(10)).toBe(10)
  const saved = await swapOut(store, twin, device)
  expect(store.takeCopies()).toEqual([])
  sequence.release()
  const back = await swapIn(store, saved, device)
  device.check({ sequence: back!, tokens: TOKENS }, 10)
})

it("comes back to the tree's pages where they are still there", async () => {
  const { store, device, sequence } = conversation()
  const saved = await swapOut(store, sequence, device)
  const cached = store.stats().cached
  expect(cached).toBeGreaterThan(0)
  await swapIn(store, saved, device)
  // The first page of the group without a window is the tree's; the others are new.
  expect(store.stats()).toMatchObject({ used: 5, cached: cached - 1 })
})

it("holds nothing when the device fails", async () => {
  const { store, device, sequence } = conversation()
  const lost: PageIO = {
    read: () => Promise.reject(new Error("device lost")),
    write: () => Promise.reject(new Error("device lost")),
  }
  const saved = await swapOut(store, sequence.fork(), device)
  await expect(swapIn(store, saved, lost)).rejects.toThrow("device lost")
  await expect(swapOut(store, sequence, lost)).rejects.toThrow("device lost")
  store.clear()
  expect(store.stats().free).toBe(12)
})
