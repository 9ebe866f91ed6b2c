import { createOpenAI } from "@ai-sdk/openai"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { generateObject, generateText, type LanguageModel, stepCountIs, streamText, tool } from "ai"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as z from "zod"
import { faceOf, listening } from "../../../test/server/face.js"
import { scriptedModel } from "../../../test/server/scripted_model.js"
import { loadModel } from "../../engine/node_model.js"
import { LocalModel } from "../local_model.js"
import { openaiError } from "./errors.js"
import { openaiRoutes } from "./routes.js"

const WEATHER = {
  get_weather: tool({
    description: "Tells the weather.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `Sunny, 21 degrees in ${city}`,
  }),
}

describe.each(["@ai-sdk/openai-compatible", "@ai-sdk/openai"])("Vercel's AI SDK with %s", (provider) => {
  let server: Awaited<ReturnType<typeof listening>>
  let modelNamed: (name: string) => LanguageModel
  beforeAll(async () => {
    const tiny = new LocalModel(await loadModel("models/minerva-tiny"))
    const json = scriptedModel(() => '<|channel|>final<|message|>{"city":"Paris","degrees":21}<|return|>', "json")
    server = await listening(faceOf(openaiRoutes, openaiError, tiny, json))
    const baseURL = `${server.url}/v1`
    const compatible = createOpenAICompatible({
      name: "minerva",
      baseURL,
      includeUsage: true,
      supportsStructuredOutputs: true,
    })
    const openai = createOpenAI({ baseURL, apiKey: "none" })
    modelNamed = (name) => (provider === "@ai-sdk/openai" ? openai.chat(name) : compatible(name))
  })
  afterAll(() => server.close())

  const asked = (prompt: string) => ({ model: modelNamed("minerva-tiny"), prompt, temperature: 0, maxRetries: 0 })

  it("chats", async () => {
    const { text, usage, reasoningText } = await generateText(asked("What is 17 + 25?"))
    expect(text).toContain("42")
    expect(usage.reasoningTokens).toBeGreaterThan(0)
    // The other one has no word for it in this protocol.
    if (provider === "@ai-sdk/openai-compatible") expect(reasoningText).toContain("17 + 25")
  })

  it("streams", async () => {
    const result = streamText(asked("What is 17 + 25?"))
    let text = ""
    for await (const piece of result.textStream) text += piece
    expect(text).toContain("42")
    expect((await result.usage).totalTokens).toBeGreaterThan(0)
    expect(await result.finishReason).toBe("stop")
  })

  it("runs tools", async () => {
    const options = { ...asked("What is the weather in Paris?"), tools: WEATHER, stopWhen: stepCountIs(4) }
    const { text, steps } = await generateText(options)
    expect(steps[0].toolCalls).toMatchObject([{ toolName: "get_weather", input: { city: "Paris" } }])
    expect(text).toMatch(/21 degrees/)
    const streamed = streamText(options)
    expect(await streamed.text).toBe(text)
    expect((await streamed.steps)[0].toolCalls).toMatchObject([{ input: { city: "Paris" } }])
  })

  it("makes an object of a schema", async () => {
    const schema = z.object({ city: z.string(), degrees: z.number() })
    const { object } = await generateObject({ model: modelNamed("json"), prompt: "Weather?", schema, maxRetries: 0 })
    expect(object).toEqual({ city: "Paris", degrees: 21 })
  })
})
