import OpenAI from "openai"
import { zodResponseFormat } from "openai/helpers/zod"
import { setTimeout } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import * as z from "zod"
import { faceOf, listening } from "../../../test/server/face.js"
import { scriptedModel } from "../../../test/server/scripted_model.js"
import { loadModel } from "../../engine/node_model.js"
import { LocalModel } from "../local_model.js"
import type { ServedModel } from "../served_model.js"
import { openaiError } from "./errors.js"
import { openaiRoutes } from "./routes.js"

/** Would talk for minutes. */
const chatty = { begun: 0, ended: 0 }
function chattyModel(): ServedModel {
  const model = scriptedModel(() => `<|channel|>final<|message|>${"and so on ".repeat(300)}<|return|>`, "chatty")
  return {
    ...model,
    info: model.info,
    async *chat(messages, options) {
      chatty.begun++
      try {
        for await (const event of model.chat(messages, options)) {
          yield event
          await setTimeout(50)
        }
      } finally {
        chatty.ended++
      }
    },
  }
}

const MODEL = "minerva-tiny"
const MESSAGES: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "What is 17 + 25?" }]
const ASKS_WEATHER: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "What is the weather in Paris?" }]
const PARAMETERS = { type: "object", properties: { city: { type: "string" } }, required: ["city"] }

describe("OpenAI's client", () => {
  let server: Awaited<ReturnType<typeof listening>>
  let client: OpenAI
  beforeAll(async () => {
    const tiny = new LocalModel(await loadModel("models/minerva-tiny"))
    const json = scriptedModel(() => '<|channel|>final<|message|>{"city":"Paris","degrees":21}<|return|>', "json")
    server = await listening(faceOf(openaiRoutes, openaiError, tiny, json, chattyModel()))
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 })
  })
  afterAll(() => server.close())

  it("chats", async () => {
    const { choices, usage } = await client.chat.completions.create({
      model: MODEL,
      messages: MESSAGES,
      temperature: 0,
    })
    expect(choices[0].message.content).toContain("42")
    expect(choices[0].finish_reason).toBe("stop")
    expect(usage?.completion_tokens_details?.reasoning_tokens).toBeGreaterThan(0)
  })

  it("streams", async () => {
    const options = { stream: true, stream_options: { include_usage: true } } as const
    const stream = await client.chat.completions.create({
      model: MODEL,
      messages: MESSAGES,
      temperature: 0,
      ...options,
    })
    let content = ""
    let usage: OpenAI.CompletionUsage | null | undefined
    for await (const chunk of stream) {
      content += chunk.choices[0]?.delta.content ?? ""
      usage = chunk.usage
    }
    expect(content).toContain("42")
    expect(usage?.total_tokens).toBeGreaterThan(0)
  })

  it("assembles a stream", async () => {
    const stream = client.chat.completions.stream({ model: MODEL, messages: MESSAGES, temperature: 0, logprobs: true })
    const { choices } = await stream.finalChatCompletion()
    expect(choices[0].message.content).toContain("42")
    expect(choices[0].logprobs?.content?.map(({ token }) => token).join("")).toBe(choices[0].message.content)
  })

  it.each([false, true])("runs tools, and goes on afterwards: streamed %s", async (stream) => {
    const asked: unknown[] = []
    const tool = {
      type: "function" as const,
      function: {
        name: "get_weather",
        description: "Tells the weather.",
        parameters: PARAMETERS,
        parse: JSON.parse,
        function: (args: { city: string }) => {
          asked.push(args)
          return `Sunny, 21 degrees in ${args.city}`
        },
      },
    }
    const body = { model: MODEL, temperature: 0, messages: ASKS_WEATHER, tools: [tool] }
    const runner = stream
      ? client.chat.completions.runTools({ ...body, stream: true })
      : client.chat.completions.runTools(body)
    expect(await runner.finalContent()).toMatch(/21 degrees/)
    expect(asked).toEqual([{ city: "Paris" }])
    const more = [...runner.messages, { role: "user", content: "What is the weather in London?" } as const]
    const again = client.chat.completions.runTools({ ...body, messages: more })
    expect(await again.finalContent()).toMatch(/London/)
    expect(asked).toEqual([{ city: "Paris" }, { city: "London" }])
    const { usage } = await again.finalChatCompletion()
    expect(usage?.prompt_tokens_details?.cached_tokens).toBeGreaterThan(0)
  })

  it("parses what has a schema", async () => {
    const format = z.object({ city: z.string(), degrees: z.number() })
    const { choices } = await client.chat.completions.parse({
      model: "json",
      messages: ASKS_WEATHER,
      response_format: zodResponseFormat(format, "weather"),
    })
    expect(choices[0].message.parsed).toEqual({ city: "Paris", degrees: 21 })
  })

  it("completes a text, whole and streamed", async () => {
    const body = { model: MODEL, prompt: "Once upon a time", max_tokens: 6, temperature: 0 }
    const { choices } = await client.completions.create(body)
    let text = ""
    for await (const chunk of await client.completions.create({ ...body, stream: true })) text += chunk.choices[0].text
    expect(text).toBe(choices[0].text)
  })

  it("lists models", async () => {
    const ids: string[] = []
    for await (const model of client.models.list()) ids.push(model.id)
    expect(ids).toEqual([MODEL, "json", "chatty"])
    expect((await client.models.retrieve(MODEL)).id).toBe(MODEL)
  })

  it("leaves, and the server goes on without it", async () => {
    const body = { model: "chatty", messages: MESSAGES }
    for await (const _ of await client.chat.completions.create({ ...body, stream: true })) break
    const signal = AbortSignal.timeout(100)
    await expect(client.chat.completions.create(body, { signal })).rejects.toThrow("aborted")
    await vi.waitFor(() => expect(chatty).toEqual({ begun: 2, ended: 2 }))
    const { choices } = await client.chat.completions.create({ model: MODEL, messages: MESSAGES, temperature: 0 })
    expect(choices[0].message.content).toContain("42")
  })

  it("is told what is wrong", async () => {
    const failure = (body: object, model = MODEL) =>
      client.chat.completions.create({ model, messages: MESSAGES, ...body }).then(
        () => null,
        (error: InstanceType<typeof OpenAI.APIError>) => error,
      )
    expect(await failure({ temperature: 3 })).toBeInstanceOf(OpenAI.BadRequestError)
    expect(await failure({ temperature: 3 })).toMatchObject({ param: "temperature", type: "invalid_request_error" })
    expect(await failure({}, "gpt-x")).toBeInstanceOf(OpenAI.NotFoundError)
    expect(await failure({}, "gpt-x")).toMatchObject({ code: "model_not_found" })
    const messages = [{ role: "user", content: "a b ".repeat(20_000) }]
    expect(await failure({ messages })).toMatchObject({ status: 400, code: "context_length_exceeded" })
    await expect(client.embeddings.create({ model: MODEL, input: "x" })).rejects.toMatchObject({ status: 501 })
  })
})
