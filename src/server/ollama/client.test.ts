import { type ChatResponse, Ollama } from "ollama"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { faceOf, listening } from "../../../test/server/face.js"
import type { LanguageModel } from "../../engine/model.js"
import { loadModel } from "../../engine/node_model.js"
import { LocalModel } from "../local_model.js"
import { ollamaError } from "./errors.js"
import { ollamaRoutes } from "./routes.js"

let model: LanguageModel
let server: Awaited<ReturnType<typeof listening>>
let client: Ollama

beforeAll(async () => {
  model = await loadModel("models/minerva-tiny", { device: "cpu", threads: 1 })
  server = await listening(faceOf(ollamaRoutes, ollamaError, new LocalModel(model)))
  client = new Ollama({ host: server.url })
})

afterAll(async () => {
  await server.close()
  await model.close()
})

const greedy = { model: "minerva-tiny:latest", options: { temperature: 0 } }
const sum = { ...greedy, messages: [{ role: "user", content: "What is 17 + 25?" }] }

const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Get the current weather in a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
}

async function joined(stream: AsyncIterable<ChatResponse>) {
  const parts = []
  for await (const part of stream) parts.push(part)
  return {
    parts,
    content: parts.map(({ message }) => message.content).join(""),
    thinking: parts.map(({ message }) => message.thinking ?? "").join(""),
    calls: parts.flatMap(({ message }) => message.tool_calls ?? []).map((call) => call.function),
  }
}

describe("Ollama's client", () => {
  it("chats", async () => {
    const { message, done_reason, eval_count, prompt_eval_count, ...rest } = await client.chat(sum)
    expect(message.content).toBe("17 + 25 = 42.")
    expect(message.thinking).toMatch(/42/)
    expect(done_reason).toBe("stop")
    expect(eval_count).toBeGreaterThan(10)
    expect(prompt_eval_count).toBeGreaterThan(10)
    expect(rest.total_duration).toBeGreaterThanOrEqual(rest.prompt_eval_duration + rest.eval_duration)
    expect(rest.eval_duration).toBeGreaterThan(1e6)
  })

  it("streams pieces that make up the whole", async () => {
    const { message, eval_count } = await client.chat(sum)
    const { parts, content, thinking } = await joined(await client.chat({ ...sum, stream: true }))
    expect({ content, thinking }).toEqual({ content: message.content, thinking: message.thinking })
    expect(parts.length).toBeGreaterThan(20)
    expect(parts.map(({ done }) => done)).toEqual([...parts.slice(1).map(() => false), true])
    expect(parts.at(-1)).toMatchObject({ done_reason: "stop", eval_count })
  })

  it("thinks as much as it is told, and shows it or not", async () => {
    const hidden = await client.chat({ ...sum, think: false })
    expect(hidden.message.thinking).toBeUndefined()
    expect((await client.chat({ ...sum, think: "high" })).message.thinking).toMatch(/42/)
  })

  it("calls a tool and reads its result", async () => {
    const messages = [{ role: "user", content: "What is the weather in Paris?" }]
    const tooled = { ...greedy, tools: [weather] }
    const { message } = await client.chat({ ...tooled, messages })
    expect(message.tool_calls![0].function).toMatchObject({ name: "get_weather", arguments: { city: "Paris" } })
    const { calls } = await joined(await client.chat({ ...tooled, messages, stream: true }))
    expect(calls).toEqual(message.tool_calls!.map((call) => call.function))
    const result = { role: "tool", tool_name: "get_weather", content: '{"temperature": 21, "sky": "clear"}' }
    const second = await client.chat({ ...tooled, messages: [...messages, message, result] })
    expect(second.message.content).toMatch(/21/)
  })

  it("generates", async () => {
    const whole = await client.generate({ ...greedy, prompt: "What is 17 + 25?", system: "Be brief." })
    expect(whole).toMatchObject({ response: "17 + 25 = 42.", done: true, done_reason: "stop" })
    let text = ""
    for await (const { response } of await client.generate({ ...greedy, prompt: "What is 17 + 25?", stream: true })) {
      text += response
    }
    expect(text).toBe("17 + 25 = 42.")
  })

  it("generates from a prompt in the model's own format", async () => {
    const prompt =
      "<|start|>user<|message|>What is 17 + 25?<|end|><|start|>assistant<|channel|>final<|message|>17 + 25 ="
    const options = { temperature: 0, num_predict: 2 }
    const { response, prompt_eval_count, done_reason } = await client.generate({
      ...greedy,
      prompt,
      raw: true,
      options,
    })
    expect(response).toMatch(/^ \d/)
    expect(prompt_eval_count).toBeLessThan(40)
    expect(done_reason).toBe("length")
  })

  it("lists, shows and tells what runs", async () => {
    const { models } = await client.list()
    expect(models).toMatchObject([
      { name: "minerva-tiny:latest", size: model.info.weight_bytes, details: { family: "gptoss" } },
    ])
    expect((await client.ps()).models.map(({ name }) => name)).toEqual(["minerva-tiny:latest"])
    const { capabilities, model_info } = await client.show({ model: "minerva-tiny" })
    expect(capabilities).toEqual(["completion", "tools", "thinking"])
    expect(model_info).toMatchObject({
      "general.architecture": "gptoss",
      "gptoss.context_length": model.info.max_context,
    })
    expect((await client.version()).version).toMatch(/^\d+\.\d+\.\d+$/)
  })

  it("gets errors that say what is wrong", async () => {
    await expect(client.chat({ ...sum, model: "llama3" })).rejects.toThrow("no model is named")
    await expect(client.show({ model: "llama3" })).rejects.toThrow("no model is named")
    await expect(client.embed({ model: "minerva-tiny", input: "x" })).rejects.toThrow("no embedding model")
    await expect(client.pull({ model: "x" })).rejects.toThrow("minerva pull")
    await expect(client.chat({ ...sum, options: { num_ctx: 1e9 } })).rejects.toThrow(/options.num_ctx: at most \d+/)
    await expect(client.generate({ ...greedy, prompt: "a", suffix: "b" })).rejects.toThrow("suffix: ")
  })
})
