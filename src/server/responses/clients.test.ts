import { createOpenAI } from "@ai-sdk/openai"
import { Agent, OpenAIProvider, Runner, tool as agentTool } from "@openai/agents"
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai"
import OpenAI from "openai"
import { zodTextFormat } from "openai/helpers/zod"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as z from "zod"
import { faceOf, listening } from "../../../test/server/face.js"
import { scriptedModel } from "../../../test/server/scripted_model.js"
import { loadModel } from "../../engine/node_model.js"
import { LocalModel } from "../local_model.js"
import { openaiError } from "../openai/errors.js"
import { responsesRoutes } from "./routes.js"

const TINY = "minerva-tiny"
const SUM = "What is 17 + 25?"
const WEATHER = "What is the weather in Paris?"

const call = (name: string, args: object) =>
  `<|channel|>analysis<|message|>I need ${name}.<|end|><|start|>assistant<|channel|>commentary<|message|>I ${name}.<|end|>` +
  `<|start|>assistant<|channel|>commentary to=functions.${name} <|constrain|>json<|message|>${JSON.stringify(args)}<|call|>`

/** Looks for a file, reads it, and tells what is in it: a step more with each result in the prompt. */
const finder = (prompt: string) => {
  const results = prompt.split("to=assistant<|channel|>commentary").length - 1
  if (results === 0) return call("find", { pattern: "*.md" })
  // Reasoning stays while the loop is open: without it this would not be seen.
  if (results === 1 && prompt.includes("I need find.")) return call("read", { path: "notes.md" })
  return results === 2 && prompt.includes("I need read.")
    ? "<|channel|>final<|message|>It says: buy milk.<|return|>"
    : "<|channel|>final<|message|>I forgot.<|return|>"
}

let server: Awaited<ReturnType<typeof listening>>
beforeAll(async () => {
  const tiny = new LocalModel(await loadModel("models/minerva-tiny"))
  const json = scriptedModel(() => '<|channel|>final<|message|>{"degrees":21}<|return|>', "json")
  server = await listening(faceOf(responsesRoutes, openaiError, tiny, scriptedModel(finder, "finder"), json))
})
afterAll(() => server.close())

const weather = {
  type: "function" as const,
  name: "get_weather",
  description: "Tells the weather.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  strict: false,
}

describe("OpenAI's client", () => {
  const openai = () => new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 })

  it("creates", async () => {
    const response = await openai().responses.create({ model: TINY, input: SUM, temperature: 0 })
    expect(response.output_text).toContain("42")
    expect(await openai().responses.retrieve(response.id)).toMatchObject({ id: response.id, output: response.output })
    const items = await openai().responses.inputItems.list(response.id)
    expect(items.data).toMatchObject([{ role: "user", content: [{ type: "input_text", text: SUM }] }])
    await openai().responses.delete(response.id)
    await expect(openai().responses.retrieve(response.id)).rejects.toThrow(OpenAI.NotFoundError)
  })

  it("streams", async () => {
    const stream = openai().responses.stream({ model: TINY, input: SUM, temperature: 0 })
    let text = ""
    stream.on("response.output_text.delta", ({ delta }) => {
      text += delta
    })
    const response = await stream.finalResponse()
    expect(text).toContain("42")
    expect(response.output_text).toBe(text)
  })

  it.each(["resends everything", "continues a response"])("runs a tool, and %s", async (how) => {
    const asked = { model: TINY, tools: [weather], temperature: 0 }
    const input: OpenAI.Responses.ResponseInput = [{ role: "user", content: WEATHER }]
    const first = await openai().responses.create({ ...asked, input })
    const called = first.output.find((item) => item.type === "function_call")!
    expect(JSON.parse(called.arguments)).toEqual({ city: "Paris" })
    const result = { type: "function_call_output", call_id: called.call_id, output: "Sunny, 21 degrees" } as const
    const second = await openai().responses.create(
      how === "continues a response"
        ? { ...asked, input: [result], previous_response_id: first.id }
        : { ...asked, input: [...input, ...(first.output as OpenAI.Responses.ResponseInput), result] },
    )
    expect(second.output_text).toMatch(/21 degrees/)
  })

  it("parses", async () => {
    const format = zodTextFormat(z.object({ degrees: z.number() }), "weather")
    const response = await openai().responses.parse({ model: "json", input: WEATHER, text: { format } })
    expect(response.output_parsed).toEqual({ degrees: 21 })
  })

  it("reads errors", async () => {
    const error = await openai()
      .responses.create({ model: TINY, input: "x", previous_response_id: "resp_x" })
      .catch((error) => error)
    expect(error).toBeInstanceOf(OpenAI.NotFoundError)
    expect(error).toMatchObject({ code: "previous_response_not_found", param: "previous_response_id" })
  })
})

describe("OpenAI's agents", () => {
  const runner = () => {
    const modelProvider = new OpenAIProvider({ baseURL: `${server.url}/v1`, apiKey: "none", useResponses: true })
    return new Runner({ modelProvider, tracingDisabled: true, modelSettings: { temperature: 0 } })
  }

  it("run a tool of the small model's own accord", async () => {
    const tools = [
      agentTool({
        name: "get_weather",
        description: "Tells the weather.",
        parameters: z.object({ city: z.string() }),
        execute: async ({ city }) => `Sunny, 21 degrees in ${city}`,
      }),
    ]
    const agent = new Agent({ name: "Weather", model: TINY, tools })
    expect((await runner().run(agent, WEATHER)).finalOutput).toMatch(/21 degrees/)
  })

  it.each([false, true])("run tools over several turns: streamed %s", async (stream) => {
    const done: string[] = []
    const step = (name: string, parameters: z.ZodObject, result: string) =>
      agentTool({
        name,
        description: `To ${name} files.`,
        parameters,
        execute: async (given) => {
          done.push(`${name} ${Object.values(given as object)}`)
          return result
        },
      })
    const agent = new Agent({
      name: "Reader",
      instructions: "Read what you are asked about.",
      model: "finder",
      tools: [
        step("find", z.object({ pattern: z.string() }), "notes.md"),
        step("read", z.object({ path: z.string() }), "buy milk"),
      ],
    })
    const question = "What do my notes say?"
    const result = stream ? await runner().run(agent, question, { stream: true }) : await runner().run(agent, question)
    if ("completed" in result) await result.completed
    expect(result.finalOutput).toBe("It says: buy milk.")
    expect(done).toEqual(["find *.md", "read notes.md"])
  })
})

describe("Vercel's AI SDK", () => {
  const model = (name: string) => createOpenAI({ baseURL: `${server.url}/v1`, apiKey: "none" }).responses(name)
  const asked = (name: string, prompt: string) => ({ model: model(name), prompt, temperature: 0, maxRetries: 0 })

  it("chats", async () => {
    const { text, usage } = await generateText(asked(TINY, SUM))
    expect(text).toContain("42")
    expect(usage.reasoningTokens).toBeGreaterThan(0)
  })

  it("streams", async () => {
    const result = streamText(asked(TINY, SUM))
    let text = ""
    for await (const piece of result.textStream) text += piece
    expect(text).toContain("42")
    expect(await result.finishReason).toBe("stop")
    expect((await result.usage).totalTokens).toBeGreaterThan(0)
  })

  it.each([true, false])("runs tools over several turns: kept by the server %s", async (store) => {
    const tools = {
      find: tool({
        description: "Finds files.",
        inputSchema: z.object({ pattern: z.string() }),
        execute: async () => "notes.md",
      }),
      read: tool({
        description: "Reads a file.",
        inputSchema: z.object({ path: z.string() }),
        execute: async () => "buy milk",
      }),
    }
    const include = ["reasoning.encrypted_content" as const]
    const { text, steps } = await generateText({
      ...asked("finder", "What do my notes say?"),
      tools,
      stopWhen: stepCountIs(4),
      providerOptions: { openai: { store, ...(!store && { include }) } },
    })
    expect(text).toBe("It says: buy milk.")
    expect(steps.flatMap(({ toolCalls }) => toolCalls.map(({ toolName }) => toolName))).toEqual(["find", "read"])
  })

  it("makes objects", async () => {
    const { object } = await generateObject({ ...asked("json", WEATHER), schema: z.object({ degrees: z.number() }) })
    expect(object).toEqual({ degrees: 21 })
  })
})
