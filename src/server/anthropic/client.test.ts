import Anthropic from "@anthropic-ai/sdk"
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { faceOf, listening } from "../../../test/server/face.js"
import type { LanguageModel } from "../../engine/model.js"
import { loadModel } from "../../engine/node_model.js"
import { LocalModel } from "../local_model.js"
import { anthropicError } from "./errors.js"
import { anthropicRoutes } from "./routes.js"

let model: LanguageModel
let server: Awaited<ReturnType<typeof listening>>
let client: Anthropic

beforeAll(async () => {
  model = await loadModel("models/minerva-tiny", { device: "cpu", threads: 1 })
  server = await listening(faceOf(anthropicRoutes, anthropicError, new LocalModel(model)))
  client = new Anthropic({ baseURL: server.url, apiKey: "none", maxRetries: 0 })
})

afterAll(async () => {
  await server.close()
  await model.close()
})

const greedy = { model: "minerva-tiny", max_tokens: 300, temperature: 0 } as const
const sum = { ...greedy, messages: [{ role: "user" as const, content: "What is 17 + 25?" }] }
const thinking = { type: "adaptive" } as const

const weather = {
  name: "get_weather",
  description: "Get the current weather in a city.",
  input_schema: {
    type: "object" as const,
    properties: { city: { type: "string" as const } },
    required: ["city"] as string[],
  },
} as const

/** What a message says, without what differs from one to the next. */
const said = ({ content, stop_reason }: Anthropic.Message) => ({
  stop_reason,
  content: content.map((block) => (block.type === "tool_use" ? { ...block, id: "" } : block)),
})

const inputOf = ({ input_tokens, cache_creation_input_tokens, cache_read_input_tokens }: Anthropic.Usage) =>
  input_tokens + cache_creation_input_tokens! + cache_read_input_tokens!

describe("Anthropic's client", () => {
  it("gets an answer without thinking unless it asks for it", async () => {
    const { content, stop_reason, usage } = await client.messages.create(sum)
    expect(content).toEqual([{ type: "text", text: "17 + 25 = 42." }])
    expect(stop_reason).toBe("end_turn")
    expect(usage.output_tokens_details!.thinking_tokens).toBeGreaterThan(10)
  })

  it("counts what a message costs", async () => {
    const { input_tokens } = await client.messages.countTokens({ model: sum.model, messages: sum.messages })
    const { usage } = await client.messages.create(sum)
    expect(inputOf(usage)).toBe(input_tokens)
    const tooled = await client.messages.countTokens({
      model: sum.model,
      messages: sum.messages,
      tools: [weather],
      system: "Be brief.",
    })
    expect(tooled.input_tokens).toBeGreaterThan(input_tokens + 20)
  })

  it.each([
    ["text and thinking", { ...sum, thinking }],
    ["sealed thinking", { ...sum, thinking: { ...thinking, display: "omitted" as const } }],
    [
      "a call",
      { ...greedy, thinking, tools: [weather], messages: [{ role: "user", content: "What is the weather in Paris?" }] },
    ],
  ] as [string, Anthropic.MessageCreateParamsNonStreaming][])(
    "streams %s in pieces that make up the whole",
    async (_, params) => {
      const whole = await client.messages.create(params)
      const pieces: string[] = []
      const stream = client.messages.stream(params)
      for (const event of ["text", "thinking", "inputJson"] as const)
        stream.on(event, (delta: string) => pieces.push(delta))
      const streamed = await stream.finalMessage()
      expect(said(streamed)).toEqual(said(whole))
      expect(streamed.usage.output_tokens).toBe(whole.usage.output_tokens)
      expect(pieces.length).toBeGreaterThan(5)
    },
  )

  it("runs a loop of tools", async () => {
    const cities: string[] = []
    const tool = betaTool({
      ...weather,
      inputSchema: weather.input_schema,
      run: ({ city }) => {
        cities.push(city as string)
        return '{"temperature": 21, "sky": "clear"}'
      },
    })
    const messages = [{ role: "user" as const, content: "What is the weather in Paris?" }]
    const final = await client.beta.messages.toolRunner({ ...greedy, messages, tools: [tool], max_iterations: 3 })
    expect(cities).toEqual(["Paris"])
    expect(final.stop_reason).toBe("end_turn")
    expect(JSON.stringify(final.content)).toMatch(/21/)
  })

  it.each([
    ["thinking that is shown", thinking],
    ["thinking that is sealed", { ...thinking, display: "omitted" as const }],
    ["thinking that was never told", undefined],
  ] as [string, Anthropic.ThinkingConfigAdaptive | undefined][])(
    "finds its second turn in the cache, with %s",
    async (_, thinking) => {
      const question = { role: "user" as const, content: `What is the weather in ${thinking?.display ?? "Rome"}?` }
      const params = { ...greedy, ...(thinking && { thinking }), tools: [weather] as Anthropic.Tool[] }
      const first = await client.messages.create({ ...params, messages: [question] })
      const { max_tokens: _most, temperature: _warm, ...counted } = params
      const call = first.content.find((block) => block.type === "tool_use")!
      const result = { type: "tool_result" as const, tool_use_id: call.id, content: "21 degrees" }
      const messages = [
        question,
        { role: "assistant" as const, content: first.content as Anthropic.ContentBlockParam[] },
        { role: "user" as const, content: [result] },
      ]
      const second = await client.messages.create({ ...params, messages })
      const total = inputOf(first.usage) + first.usage.output_tokens
      // But for the last token, which was drawn and never read.
      expect(second.usage.cache_read_input_tokens).toBeGreaterThanOrEqual(total - 1)
      expect(inputOf(second.usage)).toBe((await client.messages.countTokens({ ...counted, messages })).input_tokens)
    },
  )

  it("lists models", async () => {
    const names: string[] = []
    for await (const { id } of client.models.list()) names.push(id)
    expect(names).toEqual(["minerva-tiny"])
    expect((await client.models.retrieve("minerva-tiny")).max_input_tokens).toBe(model.info.max_context)
  })

  it("gets errors as its own classes", async () => {
    await expect(client.messages.create({ ...sum, model: "gpt-5" })).rejects.toThrow(Anthropic.NotFoundError)
    const hot = { ...sum, temperature: 7 }
    await expect(client.messages.create(hot)).rejects.toThrow(/temperature: .*from 0 to 2/)
    const long = [{ role: "user" as const, content: "many words ".repeat(60_000) }]
    const failing = client.messages.create({ ...sum, messages: long })
    await expect(failing).rejects.toThrow(Anthropic.BadRequestError)
    await expect(failing).rejects.toThrow(/prompt is too long: \d+ tokens > \d+ maximum/)
    await expect(client.messages.stream({ ...sum, messages: long }).finalMessage()).rejects.toThrow(
      /prompt is too long/,
    )
  })

  it("leaves, and the sequence is free at once", async () => {
    const stream = client.messages.stream({
      ...greedy,
      thinking,
      messages: [{ role: "user", content: "Tell me a story." }],
    })
    for await (const event of stream) if (event.type === "content_block_delta") break
    await expect.poll(() => model.load.running).toBe(0)
    const leaving = new AbortController()
    const asked = client.messages.create(sum, { signal: leaving.signal }).catch((error: Error) => error)
    await expect.poll(() => model.load.running, { interval: 1 }).toBe(1)
    leaving.abort()
    expect(await asked).toBeInstanceOf(Anthropic.APIUserAbortError)
    await expect.poll(() => model.load.running).toBe(0)
  })
})
