import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { afterEach, beforeEach, expect, it } from "vitest"
import { UsageError } from "../ui/errors.js"
import { Journal } from "./journal.js"

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "minerva-journal-"))
})
afterEach(() => rm(folder, { recursive: true }))

const result = (text: string) => ({ text })

it("keeps what was written whole, wherever a file ends or is damaged, and the rest is done once", async () => {
  const texts = fc.array(fc.string({ unit: "grapheme" }), { minLength: 1, maxLength: 8 })
  const property = fc.asyncProperty(
    texts,
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.boolean(),
    async (all, at, cuts) => {
      const out = join(folder, "out.jsonl")
      const first = await Journal.open(out, "input", "model")
      // Not waited for one by one.
      await Promise.all(all.map((text, index) => first.add(index, result(text))))
      await first.close()
      const bytes = await readFile(`${out}.partial`)
      const head = bytes.indexOf("\n") + 1
      const place = Math.min(head + Math.floor(at * (bytes.length - head)), bytes.length - 1)
      await writeFile(`${out}.partial`, cuts ? bytes.subarray(0, place) : bytes.fill(0, place, place + 1))
      const second = await Journal.open(out, "input", "model")
      const whole = bytes.subarray(head, place).toString().split("\n").length - 1
      expect([...second.finished.keys()]).toEqual(Array.from({ length: whole }, (_, index) => index))
      for (let index = all.length - 1; index >= whole; index--) await second.add(index, result(all[index]))
      await second.close()
      const third = await Journal.open(out, "input", "model")
      expect(third.finished.size).toBe(all.length)
      await third.finish(all.length)
      const lines = (await readFile(out, "utf8")).split("\n")
      expect(lines).toEqual([...all.map((text) => JSON.stringify(result(text))), ""])
      expect(await readdir(folder)).toEqual(["out.jsonl"])
    },
  )
  await fc.assert(property, { numRuns: 60 })
})

it("keeps a journal of another input or model, and says so", async () => {
  const out = join(folder, "out.jsonl")
  const journal = await Journal.open(out, "input", "model")
  await journal.add(0, result("a"))
  await journal.close()
  await expect(Journal.open(out, "other", "model")).rejects.toThrow(UsageError)
  await expect(Journal.open(out, "input", "other")).rejects.toThrow(`${out}.partial`)
  const again = await Journal.open(out, "input", "model")
  expect(again.finished.get(0)).toBe(JSON.stringify(result("a")))
  await again.close()
})
