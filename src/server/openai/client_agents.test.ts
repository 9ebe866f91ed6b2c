import { Agent, OpenAIProvider, Runner, tool } from "@openai/agents"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as z from "zod"
import { faceOf, listening } from "../../../test/server/face.js"
import { scriptedModel } from "../../../test/server/scripted_model.js"
import { loadModel } from "../../engine/node_model.js"
import { LocalModel } from "../local_model.js"
import { openaiError } from "./errors.js"
import { openaiRoutes } from "./routes.js"

const call = (name: string, args: object) =>
  `<|channel|>analysis<|message|>I need ${name}.<|end|><|start|>assistant<|channel|>commentary to=functions.${name} <|constrain|>json<|message|>${JSON.stringify(args)}<|call|>`

/** Looks for a file, reads it, and tells what is in it: a step more with each result in the prompt. */
const finder = (prompt: string) => {
  const results = prompt.split("to=assistant<|channel|>commentary").length - 1
  if (results === 0) return call("find", { pattern: "*.md" })
  if (results === 1) return call("read", { path: "notes.md" })
  return "<|channel|>final<|message|>It says: buy milk.<|return|>"
}

describe("OpenAI's agents in chat mode", () => {
  let server: Awaited<ReturnType<typeof listening>>
  let runner: Runner
  beforeAll(async () => {
    const tiny = new LocalModel(await loadModel("models/minerva-tiny"))
    const json = scriptedModel(() => '<|channel|>final<|message|>{"degrees":21}<|return|>', "json")
    server = await listening(faceOf(openaiRoutes, openaiError, tiny, scriptedModel(finder, "finder"), json))
    const modelProvider = new OpenAIProvider({ baseURL: `${server.url}/v1`, apiKey: "none", useResponses: false })
    runner = new Runner({ modelProvider, tracingDisabled: true, modelSettings: { temperature: 0 } })
  })
  afterAll(() => server.close())

  it("answer", async () => {
    const agent = new Agent({ name: "Adder", model: "minerva-tiny" })
    expect((await runner.run(agent, "What is 17 + 25?")).finalOutput).toContain("42")
  })

  it("run a tool of the small model's own accord", async () => {
    const weather = tool({
      name: "get_weather",
      description: "Tells the weather.",
      parameters: z.object({ city: z.string() }),
      execute: async ({ city }) => `Sunny, 21 degrees in ${city}`,
    })
    const agent = new Agent({ name: "Weather", model: "minerva-tiny", tools: [weather] })
    expect((await runner.run(agent, "What is the weather in Paris?")).finalOutput).toMatch(/21 degrees/)
  })

  it.each([false, true])("run tools over several turns: streamed %s", async (stream) => {
    const done: string[] = []
    const agent = new Agent({
      name: "Reader",
      instructions: "Read what you are asked about.",
      model: "finder",
      tools: [
        tool({
          name: "find",
          description: "Finds files.",
          parameters: z.object({ pattern: z.string() }),
          execute: async ({ pattern }) => {
            done.push(`find ${pattern}`)
            return "notes.md"
          },
        }),
        tool({
          name: "read",
          description: "Reads a file.",
          parameters: z.object({ path: z.string() }),
          execute: async ({ path }) => {
            done.push(`read ${path}`)
            return "buy milk"
          },
        }),
      ],
    })
    const result = stream
      ? await runner.run(agent, "What do my notes say?", { stream: true })
      : await runner.run(agent, "What do my notes say?")
    if ("completed" in result) await result.completed
    expect(result.finalOutput).toBe("It says: buy milk.")
    expect(done).toEqual(["find *.md", "read notes.md"])
  })

  it("have an output of a schema", async () => {
    const agent = new Agent({ name: "Weather", model: "json", outputType: z.object({ degrees: z.number() }) })
    expect((await runner.run(agent, "Weather?")).finalOutput).toEqual({ degrees: 21 })
  })
})
