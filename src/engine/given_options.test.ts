import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { ChatMessage } from "./chat_messages.js"
import type { LanguageModel } from "./model.js"
import { openBackend } from "./node_backend.js"
import { loadModel } from "./node_model.js"

const path = fileURLToPath(new URL("../../../models/minerva-tiny", import.meta.url))
const question: ChatMessage[] = [{ role: "user", content: "What is 17 + 25?" }]

let model: LanguageModel
beforeAll(async () => {
  model = await loadModel(path, { device: "cpu", threads: 1, max_context: 256 })
})
afterAll(() => model.close())

// What callers write that the types would not let through.
const untyped = (value: unknown) => value as never
const refused = (field: string) => ({ name: "ParameterError", field })

describe("an option that nobody knows is refused", () => {
  it.each<[string, unknown]>([
    ["max_token", 3],
    ["maxTokens", 3],
    ["max_completion_tokens", 3],
    ["topP", 0.5],
    ["toolChoice", "auto"],
    ["parallel_tool_calls", false],
    ["responseFormat", { type: "json_object" }],
    ["functions", []],
    ["n", 1],
    ["stream", true],
    ["toString", 1],
    ["signal", {}],
    ["signal", "now"],
    ["onProgress", 1],
  ])("%s: %j", async (field, value) => {
    const options = untyped({ [field]: value })
    const others = [model.generate("Once", options).next(), model.perplexity("Once upon", options)]
    for (const asked of [model.chat(question, options).next(), ...others]) {
      await expect(asked).rejects.toMatchObject(refused(field))
    }
  })

  it("with the names of those that are known", async () => {
    const asked = model.chat(question, untyped({ maxTokens: 3 })).next()
    await expect(asked).rejects.toThrow(
      /^maxTokens: expected one of .*tools, .*max_tokens, stop, temperature.*, found 3$/,
    )
    await expect(model.generate("Once", untyped({ tools: [] })).next()).rejects.toMatchObject(refused("tools"))
  })

  it("by sessions, models and backends too", async () => {
    expect(() => model.createSession(untyped({ maxContext: 64 }))).toThrow("maxContext: expected one of max_context")
    await expect(loadModel(path, untyped({ maxContext: 64 }))).rejects.toMatchObject(refused("maxContext"))
    await expect(openBackend(untyped({ Device: "cpu" }))).rejects.toMatchObject(refused("Device"))
  })

  it.each<unknown>(["x", 5, [], true])("as %j is, which holds no options", async (options) => {
    for (const asked of [model.chat(question, untyped(options)), model.generate("Once", untyped(options))]) {
      await expect(asked.next()).rejects.toMatchObject(refused("options"))
    }
  })
})

describe("options that are null", () => {
  it("are as if they were left out", async () => {
    const nothing = Object.fromEntries(
      ["temperature", "top_p", "stop", "seed", "logit_bias", "logprobs", "top_logprobs", "tools", "user"].map((key) => [
        key,
        null,
      ]),
    )
    const tokens = async (options: object) => {
      const found: number[] = []
      for await (const event of model.chat(question, { ...options, max_tokens: 4 })) {
        if (event.type === "token") found.push(event.token)
      }
      return found
    }
    expect(await tokens(nothing)).toEqual(await tokens({}))
    const { done } = await model.generate("Once", { max_tokens: null }).next()
    expect(done).toBe(false)
    await model.createSession(untyped({ max_context: null })).close()
    expect((await openBackend(untyped({ device: "reference", threads: null }))).backend.name).toBe("reference")
  })
})

describe("what is to be loaded and how", () => {
  it.each<[string, unknown]>([
    ["device", "CPU"],
    ["threads", "2"],
    ["threads", -1],
    ["threads", 1.5],
    ["precision", "float16"],
    ["max_context", "512"],
    ["max_context", 1],
    ["memory_limit", "16GB"],
    ["memory_limit", Number.NaN],
  ])("refuses %s: %j", async (field, value) => {
    await expect(loadModel(path, untyped({ device: "reference", [field]: value }))).rejects.toMatchObject(
      refused(field),
    )
  })

  it.each([5, null, undefined, {}])("is no model: %j", async (name) => {
    await expect(loadModel(untyped(name))).rejects.toMatchObject(refused("path"))
  })
})

it.each([5, null, undefined, {}, new Set([1])])("%j is no prompt", async (prompt) => {
  await expect(model.generate(untyped(prompt)).next()).rejects.toMatchObject(refused("prompt"))
  await expect(model.perplexity(untyped(prompt))).rejects.toMatchObject(refused("text"))
})
