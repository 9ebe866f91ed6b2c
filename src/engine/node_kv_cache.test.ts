import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterEach, beforeEach, expect, it } from "vitest"
import { loadModel } from "./node_model.js"

const tiny = fileURLToPath(new URL("../../../models/minerva-tiny", import.meta.url))
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "minerva-kv-"))
})
afterEach(() => rm(folder, { recursive: true }))

/** One question in a model of its own, as after a restart. */
async function ask(kv_cache_dir?: string, path = tiny) {
  const warnings: string[] = []
  const onWarning = (text: string) => warnings.push(text)
  const model = await loadModel(path, { device: "cpu", kv_bits: 4, max_context: 512, kv_cache_dir, onWarning })
  let [content, cached_tokens] = ["", 0]
  for await (const event of model.chat([{ role: "user", content: "What is 17 + 25?" }], { temperature: 0 })) {
    if (event.type !== "summary") continue
    content = event.message.content ?? ""
    cached_tokens = event.cached_tokens
  }
  await model.close()
  return { content, cached_tokens, warnings }
}

it("keeps what prompts begin with from one process to the next", async () => {
  const { content } = await ask()
  expect(await ask(folder)).toEqual({ content, cached_tokens: 0, warnings: [] })
  const again = await ask(folder)
  expect(again).toMatchObject({ content, warnings: [] })
  expect(again.cached_tokens).toBeGreaterThan(50)
})

it("passes over a damaged file with a warning, and writes it anew", async () => {
  const { content } = await ask(folder)
  const [name] = await readdir(folder)
  const bytes = await readFile(join(folder, name))
  bytes[bytes.length - 100] ^= 1
  await writeFile(join(folder, name), bytes)
  const damaged = await ask(folder)
  expect(damaged).toMatchObject({ content, cached_tokens: 0 })
  expect(damaged.warnings).toEqual([expect.stringContaining(name)])
  expect((await ask(folder)).cached_tokens).toBeGreaterThan(50)
})

it("answers where nothing can be written, and says so", async () => {
  const file = join(folder, "no folder")
  await writeFile(file, "")
  const { content, warnings } = await ask(join(file, "inside"))
  expect(content).toContain("42")
  expect(warnings).toEqual([expect.stringContaining("was not saved")])
})
