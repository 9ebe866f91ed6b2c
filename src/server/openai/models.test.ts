import { describe, expect, it } from "vitest"
import { faceOf, post } from "../../../test/server/face.js"
import { expectOpenAI } from "../../../test/server/openai_schemas.js"
import { scriptedModel } from "../../../test/server/scripted_model.js"
import { openaiError } from "./errors.js"
import { openaiRoutes } from "./routes.js"

const models = ["openai/gpt-oss-20b", "minerva-tiny"].map((name) => scriptedModel(() => "", name))
const app = faceOf(openaiRoutes, openaiError, ...models)

describe("models", () => {
  it("are listed for everyone and for Codex, with the length of their context", async () => {
    const list = await (await app.request("/v1/models")).json()
    expectOpenAI("ListModelsResponse", list)
    expect(list.data).toMatchObject([
      {
        id: "openai/gpt-oss-20b",
        owned_by: "openai",
        context_length: 4096,
        max_model_len: 4096,
        meta: { n_ctx: 4096 },
      },
      { id: "minerva-tiny", owned_by: "minerva", status: { value: "loaded" } },
    ])
    // What Codex cannot do without: the fields of ModelInfo that have no default there.
    for (const [i, model] of list.models.entries()) {
      expect(model).toMatchObject({
        slug: list.data[i].id,
        display_name: list.data[i].id,
        context_window: 4096,
        base_instructions: expect.stringMatching(/^You are Codex/),
        shell_type: "default",
        visibility: "list",
        supported_in_api: true,
        priority: i,
        supports_reasoning_summaries: true,
        support_verbosity: false,
        truncation_policy: { mode: "bytes", limit: 10_000 },
        supports_parallel_tool_calls: false,
        experimental_supported_tools: [],
      })
    }
  })

  it.each([
    "/v1/models/openai/gpt-oss-20b",
    "/v1/models/openai%2Fgpt-oss-20b",
    "/models/openai/gpt-oss-20b",
    "/v1/models/GPT-OSS-20b",
  ])("are told one by one, by any name that requests may have: %s", async (path) => {
    const model = await (await app.request(path)).json()
    expectOpenAI("Model", model)
    expect(model.id).toBe("openai/gpt-oss-20b")
  })

  it.each(["/v1/models/x", "/v1/models/%ff", "/v1/models/__proto__", "/v1/models/openai"])(
    "that are not there are not found: %s",
    async (path) => {
      const response = await app.request(path)
      expect(response.status).toBe(404)
      const error = await response.json()
      expectOpenAI("ErrorResponse", error)
      expect(error).toMatchObject({ error: { code: "model_not_found", param: "model" } })
    },
  )

  it("make no embeddings, and say what does", async () => {
    const response = await post(app, "/v1/embeddings", { input: "x", model: "minerva-tiny" })
    expect(response.status).toBe(501)
    const error = await response.json()
    expectOpenAI("ErrorResponse", error)
    expect(error.error.message).toContain("embedding model")
  })
})
