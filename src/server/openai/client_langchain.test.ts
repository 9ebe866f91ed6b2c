import { AIMessageChunk, HumanMessage, ToolMessage } from "@langchain/core/messages"
import { tool } from "@langchain/core/tools"
import { ChatOpenAI } from "@langchain/openai"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as z from "zod"
import { faceOf, listening } from "../../../test/server/face.js"
import { scriptedModel } from "../../../test/server/scripted_model.js"
import { loadModel } from "../../engine/node_model.js"
import { LocalModel } from "../local_model.js"
import { openaiError } from "./errors.js"
import { openaiRoutes } from "./routes.js"

const weather = tool(async ({ city }) => `Sunny, 21 degrees in ${city}`, {
  name: "get_weather",
  description: "Tells the weather.",
  schema: z.object({ city: z.string() }),
})

describe("LangChain's client", () => {
  let server: Awaited<ReturnType<typeof listening>>
  let modelNamed: (name: string) => ChatOpenAI
  beforeAll(async () => {
    const tiny = new LocalModel(await loadModel("models/minerva-tiny"))
    const json = scriptedModel(() => '<|channel|>final<|message|>{"city":"Paris","degrees":21}<|return|>', "json")
    server = await listening(faceOf(openaiRoutes, openaiError, tiny, json))
    const configuration = { baseURL: `${server.url}/v1` }
    modelNamed = (model) =>
      new ChatOpenAI({ model, apiKey: "none", temperature: 0, maxRetries: 0, configuration, useResponsesApi: false })
  })
  afterAll(() => server.close())

  it("chats, whole and streamed", async () => {
    const model = modelNamed("minerva-tiny")
    const { content, usage_metadata } = await model.invoke("What is 17 + 25?")
    expect(content).toContain("42")
    expect(usage_metadata?.total_tokens).toBeGreaterThan(0)
    let all = new AIMessageChunk("")
    for await (const chunk of await model.stream("What is 17 + 25?")) all = all.concat(chunk)
    expect(all.content).toBe(content)
    expect(all.usage_metadata?.output_tokens).toBe(usage_metadata?.output_tokens)
  })

  it.each([false, true])("runs a tool: streamed %s", async (streaming) => {
    const model = modelNamed("minerva-tiny").bindTools([weather])
    const question = new HumanMessage("What is the weather in Paris?")
    const ask = async () => {
      if (!streaming) return model.invoke([question])
      let all = new AIMessageChunk("")
      for await (const chunk of await model.stream([question])) all = all.concat(chunk)
      return all
    }
    const answer = await ask()
    expect(answer.tool_calls).toMatchObject([{ name: "get_weather", args: { city: "Paris" } }])
    const [call] = answer.tool_calls!
    const result = new ToolMessage({
      tool_call_id: call.id!,
      content: await weather.invoke(call.args as { city: string }),
    })
    expect((await model.invoke([question, answer, result])).content).toMatch(/21 degrees/)
  })

  it.each(["jsonSchema", "jsonMode"] as const)("has what has a schema: %s", async (method) => {
    const schema = z.object({ city: z.string(), degrees: z.number() })
    const model = modelNamed("json").withStructuredOutput(schema, { method, name: "weather" })
    expect(await model.invoke("Weather as JSON?")).toEqual({ city: "Paris", degrees: 21 })
  })
})
