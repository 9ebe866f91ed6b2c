import { describe, expect, it } from "vitest"
import { faceOf, post } from "../../../test/server/face.js"
import { scriptedModel } from "../../../test/server/scripted_model.js"
import { openaiError } from "../openai/errors.js"
import { llamaRoutes } from "./routes.js"

const models = ["one", "org/two"].map((name) => scriptedModel(() => "", name))
const app = faceOf(llamaRoutes, openaiError, ...models)

async function asked(path: string, body: object): Promise<unknown> {
  const response = await post(app, path, body)
  expect(response.status, await response.clone().text()).toBe(200)
  return response.json()
}

describe("llama-server's helpers", () => {
  it("make tokens of text and text of tokens", async () => {
    expect(await asked("/tokenize", { content: "hi" })).toEqual({ tokens: [104, 105] })
    expect(await asked("/tokenize", { content: "<|start|>", parse_special: true })).toEqual({ tokens: [305] })
    expect(await asked("/tokenize", { content: "<|start|>" })).toEqual({ tokens: [305] })
    const plain = (await asked("/tokenize", { content: "<|start|>", parse_special: false })) as { tokens: number[] }
    expect(plain.tokens).toHaveLength("<|start|>".length)
    expect(await asked("/detokenize", plain)).toEqual({ content: "<|start|>" })
    expect(await asked("/detokenize", { tokens: [305, 104], model: "org/two" })).toEqual({ content: "<|start|>h" })
    expect(await asked("/detokenize", { tokens: [] })).toEqual({ content: "" })
  })

  it("write a conversation as the model reads it", async () => {
    const tools = [{ type: "function", function: { name: "f", description: "Eff" } }]
    const messages = [{ role: "user", content: "Hi" }]
    const { prompt } = (await asked("/apply-template", { messages, tools, reasoning_effort: "high" })) as {
      prompt: string
    }
    expect(prompt).toMatch(
      /^<\|start\|>system<\|message\|>.*Reasoning: high.*Eff\ntype f =.*<\|start\|>user<\|message\|>Hi<\|end\|><\|start\|>assistant$/s,
    )
  })

  it("tell a model's properties", async () => {
    const ofFirst = await (await app.request("/props")).json()
    expect(ofFirst).toMatchObject({
      model_alias: "one",
      default_generation_settings: { n_ctx: 4096 },
      modalities: { vision: false },
      chat_template_caps: { supports_tools: true, supports_tool_calls: true },
    })
    expect(await (await app.request("/props?model=org%2Ftwo")).json()).toMatchObject({ model_alias: "org/two" })
    expect(await (await app.request("/props?model=two")).json()).toMatchObject({ model_alias: "org/two" })
    expect((await app.request("/props?model=three")).status).toBe(404)
  })

  it.each<[string, object, string]>([
    ["/tokenize", {}, "content"],
    ["/tokenize", { content: 5 }, "content"],
    ["/tokenize", { content: "x", with_pieces: true }, "with_pieces"],
    ["/detokenize", { tokens: "x" }, "tokens"],
    ["/detokenize", { tokens: [1, 1e9] }, "tokens.1"],
    ["/detokenize", { tokens: [-1] }, "tokens.0"],
    ["/apply-template", {}, "messages"],
    ["/apply-template", { messages: [{ role: "user" }] }, "messages.0.content"],
    [
      "/apply-template",
      { messages: [{ role: "user", content: "x" }], functions: [{ name: "a b" }] },
      "functions.0.name",
    ],
  ])("%s refuses %j and names its parameter", async (path, body, param) => {
    const response = await post(app, path, body)
    expect(await response.json()).toMatchObject({ error: { param } })
    expect(response.status).toBe(400)
  })
})
