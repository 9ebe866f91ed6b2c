import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import type { LanguageModel } from "./model.js"
import { loadModel } from "./node_model.js"

const tiny = fileURLToPath(new URL("../../../models/minerva-tiny", import.meta.url))

async function ask(model: LanguageModel, content: string): Promise<string> {
  let answer = ""
  for await (const event of model.chat([{ role: "user", content }], { temperature: 0 })) {
    if (event.type === "content") answer += event.text
  }
  return answer
}

it.each([undefined, 4] as const)("ten chats at once each get what they would alone: kv_bits %s", async (kv_bits) => {
  const questions = Array.from({ length: 10 }, (_, i) => `What is ${17 + i} + ${25 + 3 * i}?`)
  const model = await loadModel(tiny, { device: "cpu", kv_bits, max_context: 2048 })
  const answers = await Promise.all(questions.map((question) => ask(model, question)))
  model.store.clear()
  for (const [i, question] of questions.entries()) expect(await ask(model, question)).toBe(answers[i])
  expect(answers[0]).toContain("42")
  await model.close()
})
