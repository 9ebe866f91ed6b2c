import { fileURLToPath } from "node:url"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { Backend } from "../backends/backend.js"
import { memoryStats } from "../tensor/storage.js"
import type { ChatEvent } from "./chat.js"
import { MemoryLimitError } from "./memory_check.js"
import type { LanguageModel } from "./model.js"
import { openBackend } from "./node_backend.js"
import { loadModel } from "./node_model.js"

const path = fileURLToPath(new URL("../../../models/minerva-tiny", import.meta.url))
const question = (content: string) => [{ role: "user" as const, content }]
const options = { temperature: 0, max_tokens: 100 }

async function answer(events: AsyncGenerator<ChatEvent>): Promise<string> {
  let text = ""
  for await (const event of events) if (event.type === "content") text += event.text
  return text
}

describe("sessions of one model", () => {
  let backend: Backend
  let model: LanguageModel
  beforeEach(async () => {
    backend = (await openBackend({ device: "cpu", threads: 2 })).backend
    model = await loadModel(path, { backend, max_context: 512 })
  })
  afterEach(async () => {
    await model.close()
    await backend.close()
  })

  it("answer side by side what each answers alone, from caches of their own", async () => {
    const questions = ["What is 17 + 25?", "What is 30 + 12?", "What is 8 + 5?"].map(question)
    const alone: string[] = []
    for (const messages of questions) alone.push(await answer(model.chat(messages, options)))
    const sessions = [model, model.createSession(), model.createSession({ max_context: 256 })]
    const together = sessions.map((session, i) => answer(session.chat(questions[i], options)))
    expect(await Promise.all(together)).toEqual(alone)
    for await (const event of sessions[1].chat(questions[1], options)) {
      if (event.type === "summary") expect(event.cached_tokens).toBe(event.prompt_tokens - 1)
    }
  })

  it("give their memory back when they are closed, and no other", async () => {
    const before = memoryStats().resident.cpu
    const session = model.createSession()
    await answer(session.chat(question("What is 8 + 5?"), options))
    const open = memoryStats().resident.cpu
    expect(open).toBeGreaterThan(before)
    await session[Symbol.asyncDispose]()
    expect(memoryStats().resident.cpu).toBe(before)
    await expect(answer(session.chat(question("again?")))).rejects.toThrow("closed")
    expect(await answer(model.chat(question("What is 8 + 5?"), options))).toContain("13")
  })

  it("are closed with the model, whatever they are doing", async () => {
    const session = model.createSession()
    const unread = session.generate("What", options)
    await unread.next()
    await model.close()
    await expect(unread.next()).rejects.toThrow("closed")
    expect(() => model.createSession()).toThrow("closed")
  })

  it.each([1, 513, 2.5])("refuse a context of %d tokens", (max_context) => {
    expect(() => model.createSession({ max_context })).toThrow("max_context: expected a whole number from 2 to 512")
  })
})

it("a memory limit counts every open session", async () => {
  const load = (memory_limit: number) => loadModel(path, { device: "reference", max_context: 512, memory_limit })
  const refusal = await load(1).catch((error: unknown) => error)
  if (!(refusal instanceof MemoryLimitError)) throw new Error("1 byte was enough")
  const { plan } = refusal
  const model = await load(plan.weights + 2 * (plan.caches + plan.working))
  const second = model.createSession()
  expect(() => model.createSession()).toThrow(MemoryLimitError)
  expect(() => model.createSession()).toThrow("the model with 3 sessions takes")
  await second.close()
  const short = model.createSession({ max_context: 256 })
  expect(() => model.createSession({ max_context: 256 })).toThrow(MemoryLimitError)
  await short.close()
  model.createSession()
  await model.close()
})
