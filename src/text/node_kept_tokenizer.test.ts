import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import fc from "fast-check"
import { afterAll, beforeEach, describe, expect, it } from "vitest"
import { loadTokenizer } from "../engine/language.js"
import { nodeDirectory } from "../checkpoint/node_directory.js"
import { keptTokenizer } from "./node_kept_tokenizer.js"
import { Tokenizer } from "./tokenizer.js"
import { readTokenizerJson } from "./tokenizer_json.js"

const tiny = readFileSync(fileURLToPath(new URL("../../../models/minerva-tiny/tokenizer.json", import.meta.url)))
const scratch = mkdtempSync(join(tmpdir(), "minerva-kept-"))
const file = join(scratch, "tokenizer.json")
const cache = join(scratch, "cache")
const options = { cache, least: 0 }
const parts = readTokenizerJson(tiny, "tokenizer.json")

afterAll(() => rmSync(scratch, { recursive: true }))

beforeEach(async () => {
  rmSync(cache, { recursive: true, force: true })
  writeFileSync(file, tiny)
  await keptTokenizer(scratch, options).write(parts)
})

const read = () => keptTokenizer(scratch, options).read()
const kept = () => join(cache, readdirSync(cache)[0])

describe("what is kept of a tokenizer", () => {
  it("is all that was read", async () => {
    expect(await read()).toEqual(parts)
  })

  it("cuts texts as the file does, and gives them back", async () => {
    const [again, once] = [new Tokenizer((await read())!), new Tokenizer(tiny)]
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(again.encode(text)).toEqual(once.encode(text))
        expect(again.decode(again.encode(text))).toBe(once.decode(once.encode(text)))
      }),
    )
    expect(again.vocab_size).toBe(once.vocab_size)
    expect(again.specialToken("<|start|>")).toBe(once.specialToken("<|start|>"))
  })

  it("is taken instead of the file, and written where there was nothing", async () => {
    let written = 0
    const keeper = (known: typeof parts | undefined) => ({ read: async () => known, write: () => void written++ })
    const directory = nodeDirectory(join(scratch, "no such folder"))
    expect((await loadTokenizer(directory, keeper(parts))).encode("two words")).toHaveLength(2)
    expect(written).toBe(0)
    await loadTokenizer(nodeDirectory(scratch), keeper(undefined))
    expect(written).toBe(1)
  })

  it("is not taken for a file that was written to since, be its size and time the same", async () => {
    writeFileSync(file, tiny)
    expect(await read()).toBeUndefined()
    await keptTokenizer(scratch, options).write(parts)
    expect(await read()).toEqual(parts)
    utimesSync(file, 1, 1)
    expect(await read()).toBeUndefined()
  })

  it("is not taken when it is damaged, anywhere", async () => {
    const whole = readFileSync(kept())
    const damage = fc.record({ at: fc.nat(whole.length - 1), bit: fc.nat(7), isCut: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(damage, async ({ at, bit, isCut }) => {
        const damaged = Buffer.from(isCut ? whole.subarray(0, at) : whole)
        if (!isCut) damaged[at] ^= 1 << bit
        writeFileSync(kept(), damaged)
        const found = await read()
        // A name that nobody asks for may have changed.
        if (found) expect(found).toEqual(parts)
      }),
      { numRuns: 300 },
    )
  })

  it("is nothing for small files, and where nothing can be written", async () => {
    expect(await keptTokenizer(scratch, { cache }).read()).toBeUndefined()
    const nowhere = keptTokenizer(scratch, { cache: join(file, "in a file"), least: 0 })
    await nowhere.write(parts)
    expect(await nowhere.read()).toBeUndefined()
    expect(await keptTokenizer(join(scratch, "nothing"), options).read()).toBeUndefined()
  })

  it("is that of the last eight files", async () => {
    for (let n = 0; n < 10; n++) {
      writeFileSync(file, Buffer.concat([tiny, Buffer.alloc(n + 1, " ")]))
      await keptTokenizer(scratch, options).write(parts)
    }
    expect(readdirSync(cache)).toHaveLength(8)
    expect(await read()).toEqual(parts)
  })
})
