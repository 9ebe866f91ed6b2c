import { fileURLToPath } from "node:url"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { Backend } from "../backends/backend.js"
import { memoryStats } from "../tensor/storage.js"
import type { ChatEvent } from "./chat.js"
import type { LanguageModel } from "./model.js"
import type { ModelSession } from "./model_session.js"
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

  it("answer side by side what each answers alone, as do requests of one of them", async () => {
    const questions = ["What is 17 + 25?", "What is 30 + 12?", "What is 8 + 5?", "Hello!"].map(question)
    const alone: string[] = []
    for (const messages of questions) alone.push(await answer(model.chat(messages, options)))
    const sessions = [model, model, model.createSession(), model.createSession({ max_context: 256 })]
    const together = sessions.map((session, i) => answer(session.chat(questions[i], options)))
    expect(await Promise.all(together)).toEqual(alone)
  })

  it("share what they have in common, also after they are closed", async () => {
    const session = model.createSession()
    const cached = async (of: LanguageModel | ModelSession, content: string) => {
      for await (const event of of.chat(question(content), options)) {
        if (event.type === "summary") return { cached: event.cached_tokens, prompt: event.prompt_tokens }
      }
      throw new Error("no summary")
    }
    expect((await cached(session, "What is 30 + 12?")).cached).toBe(0)
    session.close()
    const again = await cached(model, "What is 30 + 12?")
    expect(again.cached).toBe(again.prompt - 1)
  })

  it("take no memory of their own", async () => {
    const ask = (of: LanguageModel | ModelSession) => answer(of.chat(question("What is 8 + 5?"), options))
    await ask(model)
    const before = memoryStats().resident.cpu
    await ask(model.createSession())
    expect(memoryStats().resident.cpu).toBe(before)
  })

  it("are closed alone: their requests end, those of others go on, and a new one works", async () => {
    const session = model.createSession()
    const closed = answer(session.chat(question("What is 17 + 25?"), options))
    const other = answer(model.chat(question("What is 8 + 5?"), options))
    session.close()
    await expect(closed).rejects.toThrow("model.createSession()")
    await expect(answer(session.chat(question("again?")))).rejects.toThrow("closed")
    expect(await other).toContain("13")
    expect(model.store.stats().used).toBe(0)
    expect(await answer(model.createSession().chat(question("What is 8 + 5?"), options))).toContain("13")
  })

  it("are closed with the model, whatever they are doing", async () => {
    const session = model.createSession()
    const unread = session.generate("What", options)
    await unread.next()
    await model.close()
    const rest = async () => {
      for await (const _ of unread);
    }
    await expect(rest()).rejects.toThrow("the model is closed")
    await expect(answer(model.createSession().chat(question("again?")))).rejects.toThrow("the model is closed")
  })

  it.each([1, 513, 2.5])("refuse a context of %d tokens", (max_context) => {
    expect(() => model.createSession({ max_context })).toThrow("max_context: expected a whole number from 2 to 512")
  })
})
