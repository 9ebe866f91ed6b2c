import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterEach, beforeEach, expect, it } from "vitest"
import { nodeDirectory } from "../checkpoint/node_directory.js"
import { readHeader } from "../checkpoint/safetensors.js"
import type { ChatMessage } from "./chat_messages.js"
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

it("passes over what other weights computed, also where only one matrix differs", async () => {
  const [first, second] = ["first", "second"].map((name) => join(folder, name, "model"))
  await Promise.all([first, second].map((path) => cp(tiny, path, { recursive: true, dereference: true })))
  const source = await nodeDirectory(second).open("model.safetensors")
  const { offset, byteLength } = (await readHeader(source)).tensors.get("model.layers.2.mlp.experts.down_proj.weight")!
  await source.close()
  const bytes = await readFile(join(second, "model.safetensors"))
  for (let i = offset; i < offset + byteLength; i++) bytes[i] ^= 0x11
  await writeFile(join(second, "model.safetensors"), bytes)
  const { content } = await ask(undefined, second)
  const kept = join(folder, "kept")
  await ask(kept, first)
  const other = await ask(kept, second)
  expect(other).toMatchObject({ content, cached_tokens: 0 })
  expect(other.warnings).toEqual([expect.stringContaining("saved prefixes are passed over")])
  expect(await ask(kept, second)).toMatchObject({ content, warnings: [] })
})

it("goes on with a conversation after a restart as if there had been none", async () => {
  const questions = ["What is 17 + 25?", "And 8 more?", "What is 5 * 4?", "Name three fruits."]
  /** @param restarts before which questions */
  async function talk(restarts: readonly number[], kv_cache_dir?: string) {
    const load = () => loadModel(tiny, { device: "cpu", kv_bits: 4, max_context: 1024, kv_cache_dir })
    let model = await load()
    const messages: ChatMessage[] = []
    const [contents, cached] = [[] as unknown[], [] as number[]]
    for (const [i, question] of questions.entries()) {
      if (restarts.includes(i)) {
        await model.close()
        model = await load()
      }
      messages.push({ role: "user", content: question })
      for await (const event of model.chat(messages, { temperature: 0, max_tokens: 60 })) {
        if (event.type !== "summary") continue
        messages.push(event.message)
        contents.push(event.message)
        cached.push(event.cached_tokens)
      }
    }
    await model.close()
    return { contents, cached }
  }
  const whole = await talk([])
  const restarted = await talk([1, 3], folder)
  expect(restarted).toEqual(whole)
  expect(whole.cached[3]).toBeGreaterThan(100)
})
