import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { FakeDevice } from "../../test/cache/fake_device.js"
import { events, Schedule, type StoreShape, storeOf, storeShape } from "../../test/cache/kv_schedule.js"
import { memoryFolder, safetensorsFile, tensorOf } from "../../test/checkpoint/memory_files.js"
import { MemorySource } from "../checkpoint/memory_directory.js"
import { readHeader } from "../checkpoint/safetensors.js"
import { crc32 } from "./crc32.js"
import { loadPrefixes, savePrefixes } from "./kv_files.js"
import { packTree, unpackTree } from "./saved_tree.js"

const FILE = "prefixes.safetensors"
const SHAPE: StoreShape = { windows: [null, 6], pages: 30, page_size: 4 }
const TOKENS = Array.from({ length: 22 }, (_, i) => i)

/** A store whose tree has one conversation of 22 tokens, and its file. */
async function saved(shape = SHAPE) {
  const store = storeOf(shape)
  const device = new FakeDevice(store)
  const sequence = store.open()
  sequence.extend(TOKENS.length)
  device.step([{ sequence, tokens: TOKENS, start: 0 }])
  sequence.commit(TOKENS)
  sequence.release()
  const folder = memoryFolder()
  await savePrefixes(store, "some-model", device, folder, FILE)
  return { store, folder, bytes: folder.files.get(FILE)! }
}

/** What a new store makes of a file. */
async function load(bytes: Uint8Array | undefined, shape = SHAPE, model = "some-model") {
  const store = storeOf(shape)
  const device = new FakeDevice(store)
  const folder = memoryFolder()
  if (bytes) folder.files.set(FILE, bytes)
  const loaded = await loadPrefixes(store, model, device, folder, FILE)
  return { store, device, ...loaded }
}

describe("saved prefixes", () => {
  it("go on after a restart as before, into whatever pool there is", async () => {
    let hits = 0
    await fc.assert(
      fc.asyncProperty(
        storeShape,
        fc.integer({ min: 1, max: 40 }),
        events,
        events,
        async (shape, pages, before, after) => {
          const first = new Schedule(storeOf(shape))
          for (const event of before) await first.play(event)
          const folder = memoryFolder()
          // What is planned has been submitted.
          first.device.step([])
          await savePrefixes(first.store, "model", first.device, folder, FILE)
          first.finish()
          const second = new Schedule(storeOf({ ...shape, pages }), first.past)
          const loaded = await loadPrefixes(second.store, "model", second.device, folder, FILE)
          expect(loaded).toEqual({ pages: second.store.stats().cached })
          for (const event of after) await second.play(event)
          hits += second.store.stats().hit_tokens
          second.finish()
        },
      ),
      { numRuns: 150 },
    )
    expect(hits).toBeGreaterThan(100)
  })

  it("come back whole, the most recently used first when there is less room", async () => {
    const { bytes } = await saved()
    const { store, device, pages } = await load(bytes)
    expect(pages).toBe(12)
    const sequence = store.open([...TOKENS, 99])
    expect(sequence.length).toBe(22)
    device.check({ sequence, tokens: TOKENS }, 22)
    const small = await load(bytes, { ...SHAPE, pages: 7 })
    expect(small.pages).toBe(6)
    expect(small.warning).toBeUndefined()
    expect(small.store.open([...TOKENS, 99]).length).toBe(12)
  })

  it("leave the store as it was when they are saved", async () => {
    const { store } = await saved()
    expect(store.stats()).toMatchObject({ cached: 12, free: 18, used: 0, shared: 0 })
  })

  it("are none when there is no file", async () => {
    const { pages, warning } = await load(undefined)
    expect({ pages, warning }).toEqual({ pages: 0, warning: undefined })
  })

  it.each<[string, StoreShape, string]>([
    ["model", SHAPE, "another-model"],
    ["page_size", { ...SHAPE, page_size: 8 }, "some-model"],
    ["windows", { ...SHAPE, windows: [null, 7] }, "some-model"],
    ["windows", { ...SHAPE, windows: [6, null] }, "some-model"],
    ["windows", { ...SHAPE, windows: [null, 6, null] }, "some-model"],
  ])("of another %s are passed over with a word about it", async (field, shape, model) => {
    const { bytes } = await saved()
    const { warning, store, pages } = await load(bytes, shape, model)
    expect(pages).toBe(0)
    expect(warning).toContain(`prefixes.safetensors, field "__metadata__.${field}"`)
    expect(store.stats().free).toBe(30)
  })

  it("of another kind, or no prefixes at all, are passed over", async () => {
    const foreign = await safetensorsFile([tensorOf("weight", new Uint8Array(8))])
    expect((await load(foreign)).warning).toContain("expected minerva-prefixes; found nothing")
    for (const text of ["", "{}", "<html>", "version https://git-lfs.github.com/spec/v1"]) {
      expect((await load(new TextEncoder().encode(text))).warning).toContain("saved prefixes are passed over")
    }
  })

  it("never come back damaged, wherever a bit flips or the file ends", async () => {
    const { bytes } = await saved()
    const at = fc.nat(bytes.length - 1)
    await fc.assert(
      fc.asyncProperty(at, fc.nat(7), fc.boolean(), async (at, bit, isCut) => {
        const damaged = isCut ? bytes.slice(0, at) : bytes.slice()
        if (!isCut) damaged[at] ^= 1 << bit
        const { warning, store, device } = await load(damaged)
        const sequence = store.open([...TOKENS, 99])
        device.check({ sequence, tokens: TOKENS.slice(0, sequence.length) }, sequence.length)
        // A flip in the header's padding or in the order of names that stay valid may do no harm.
        if (warning === undefined) expect(sequence.length).toBe(22)
        else expect(store.stats()).toMatchObject({ free: 30, used: 0 })
      }),
      { numRuns: 300 },
    )
  })

  it("are refused for any flipped bit of a page", async () => {
    const { bytes } = await saved()
    const { tensors } = await readHeader(new MemorySource(FILE, bytes))
    for (const { name, offset, byteLength } of tensors.values()) {
      for (const at of [offset, offset + byteLength - 5, offset + byteLength - 1]) {
        const damaged = bytes.slice()
        damaged[at] ^= 16
        const { warning, store } = await load(damaged)
        expect(warning).toContain(`field "${name}": expected checksum`)
        expect(store.stats().free).toBe(30)
      }
    }
  })

  it("let nothing appear when they cannot be written, and hold no page after", async () => {
    const store = storeOf(SHAPE)
    const device = new FakeDevice(store)
    const sequence = store.open()
    sequence.extend(4)
    device.step([{ sequence, tokens: [1, 2, 3, 4], start: 0 }])
    sequence.commit([1, 2, 3, 4])
    sequence.release()
    const folder = memoryFolder()
    const lost = { read: () => Promise.reject(new Error("device lost")), write: () => Promise.resolve() }
    await expect(savePrefixes(store, "m", lost, folder, FILE)).rejects.toThrow("device lost")
    expect(folder.files.size).toBe(0)
    store.clear()
    expect(store.stats().free).toBe(30)
  })
})

describe("a saved tree", () => {
  const { layout } = storeOf(SHAPE)
  const node = (parent: number, tokens: number[], pages: number[]) => ({
    parent,
    tokens: Uint32Array.from(tokens),
    pages,
  })

  it("is read as it was written", () => {
    const nodes = [node(-1, [1, 2, 3, 4], [0, -1]), node(0, [2 ** 32 - 1], [2, 1]), node(-1, [5], [3, 4])]
    expect(unpackTree(packTree(nodes), layout, 5, FILE)).toEqual(nodes)
  })

  it.each([
    ["a parent that comes later", [node(1, [1], [0, -1]), node(-1, [1, 2, 3, 4], [1, -1])]],
    ["a node as its own parent", [node(0, [1], [0, -1])]],
    ["a parent below the root", [node(-2, [1], [0, -1])]],
    ["a parent that is not full", [node(-1, [1], [0, -1]), node(0, [1], [1, -1])]],
    ["no tokens", [node(-1, [], [0, -1])]],
    ["too many tokens", [node(-1, [1, 2, 3, 4, 5], [0, -1])]],
    ["a page that is not in the file", [node(-1, [1], [5, -1])]],
    ["a page of two nodes", [node(-1, [1], [0, -1]), node(-1, [2], [0, -1])]],
    ["a page of two groups", [node(-1, [1], [0, 0])]],
    ["no page where one has to be", [node(-1, [1], [-1, 0])]],
    ["the same tokens twice", [node(-1, [1], [0, -1]), node(-1, [1], [1, -1])]],
  ])("is refused with %s", (_, nodes) => {
    expect(() => unpackTree(packTree(nodes), layout, 5, FILE)).toThrow(`${FILE}, field "tree[`)
  })

  it("is refused when it ends early, and whatever else its words are", () => {
    const words = packTree([node(-1, [1, 2, 3, 4], [0, -1]), node(0, [7, 8], [2, 1])])
    for (let end = 1; end < words.length; end++) {
      if (end !== 8) expect(() => unpackTree(words.subarray(0, end), layout, 5, FILE)).toThrow("tree[")
    }
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -2, max: 6 })), (words) => {
        try {
          unpackTree(Int32Array.from(words), layout, 5, FILE)
        } catch (error) {
          expect(error).toMatchObject({ name: "CheckpointError", code: "wrong_format" })
        }
      }),
    )
  })

  it("has the checksum of gzip", () => {
    expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926)
  })
})
