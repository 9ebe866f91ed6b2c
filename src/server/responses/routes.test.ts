import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { expectOpenAI } from "../../../test/server/openai_schemas.js"
import { answer, appOf, ask, events, followed, refusal, withoutIds } from "../../../test/server/responses/checked.js"
import { CALL, FINAL, THOUGHT, weather } from "../../../test/server/responses/turns.js"
import { scriptedModel } from "../../../test/server/scripted_model.js"
import { loadModel } from "../../engine/node_model.js"
import { LocalModel } from "../local_model.js"
import { RequestError } from "../request_error.js"
import type { ReasoningItem } from "./items.js"

const PREAMBLE = "<|channel|>commentary<|message|>I look it up.<|end|><|start|>assistant"
const PATCH = "<|channel|>commentary to=functions.patch<|message|>*** Begin\n+ä 😀<|call|>"

const IMPOSSIBLE = { type: "object", properties: { a: { not: {} } } }
const patch = {
  type: "custom",
  name: "patch",
  description: "Changes files.",
  format: { type: "grammar", syntax: "lark", definition: "start: /.+/" },
}

const TURNS: Record<string, readonly [script: string, body: object, types: readonly string[]]> = {
  "an answer": [`${FINAL}Grüezi 😀!<|return|>`, {}, ["message"]],
  "reasoning before an answer": [`${THOUGHT}${FINAL}Yes.<|return|>`, {}, ["reasoning", "message"]],
  "sealed reasoning": [
    `${THOUGHT}${FINAL}Yes.<|return|>`,
    { include: ["reasoning.encrypted_content"], store: false },
    ["reasoning", "message"],
  ],
  "a call": [CALL, { tools: [weather] }, ["function_call"]],
  "reasoning, a preamble and a call": [
    THOUGHT + PREAMBLE + CALL,
    { tools: [weather, patch], tool_choice: { type: "function", name: "weather" } },
    ["reasoning", "message", "function_call"],
  ],
  "a call of a custom tool": [PATCH, { tools: [weather, patch] }, ["custom_tool_call"]],
  "two calls": [
    CALL.replace("<|call|>", `<|end|><|start|>assistant${CALL}`),
    { tools: [weather] },
    ["function_call", "function_call"],
  ],
  "reasoning alone": ["<|channel|>analysis<|message|>Hm.<|return|>", {}, ["reasoning", "message"]],
  nothing: ["<|return|>", {}, ["message"]],
  "an answer that is cut off": [`${FINAL}Grüezi, how are you?<|return|>`, { max_output_tokens: 12 }, ["message"]],
  "a call that is cut off": [
    THOUGHT + CALL,
    { tools: [weather], max_output_tokens: 90 },
    ["reasoning", "function_call"],
  ],
  "an answer with log-probabilities": [
    `${THOUGHT}${FINAL}Grüezi 😀<|return|>`,
    { include: ["message.output_text.logprobs"], top_logprobs: 2 },
    ["reasoning", "message"],
  ],
}

describe("POST /v1/responses", () => {
  it.each(Object.entries(TURNS))("gives %s, streamed as unstreamed", async (_, [script, body, types]) => {
    const app = appOf(scriptedModel(() => script))
    const request = { model: "scripted", input: "Hello", ...body }
    const whole = await answer(app, request)
    expect(whole.output.map(({ type }) => type)).toEqual(types)

    const read = await events(app, request)
    const last = read.at(-1)!
    expect(last.type).toBe(`response.${whole.status}`)
    expect(withoutIds(last.response)).toEqual(withoutIds(whole))
    expect(followed(read).map(({ streamed: _, ...item }) => item)).toEqual(last.response!.output)
    expect(read[0].response).toMatchObject({ id: last.response!.id, status: "in_progress", output: [] })
  })

  it("tells reasoning, words and calls as items", async () => {
    const { output } = await answer(appOf(scriptedModel(() => THOUGHT + PREAMBLE + CALL)), {
      input: "Hello",
      tools: [weather],
      include: ["reasoning.encrypted_content"],
    })
    expect(output).toMatchObject([
      {
        summary: [],
        content: [{ type: "reasoning_text", text: "Hm, ä 😀." }],
        encrypted_content: expect.stringMatching(/^minerva1\.[\w-]+$/),
      },
      {
        role: "assistant",
        phase: "commentary",
        content: [{ type: "output_text", text: "I look it up.", annotations: [] }],
      },
      {
        call_id: expect.stringMatching(/^call_/),
        name: "weather",
        arguments: '{"city": "Zürich"}',
        status: "completed",
      },
    ])
    expect(output[0].id).toMatch(/^rs_/)
    expect(output[1].id).toMatch(/^msg_/)
    expect(output[2].id).toMatch(/^fc_/)
  })

  it("says why an answer is incomplete, and counts", async () => {
    const app = appOf(scriptedModel(() => `${THOUGHT}${FINAL}Yes.<|return|>`))
    const cut = await answer(app, { input: "Hello", max_output_tokens: 12 })
    expect(cut).toMatchObject({
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
      output: [{ type: "reasoning", status: "incomplete" }],
      usage: { output_tokens: 12, output_tokens_details: { reasoning_tokens: 2 } },
    })
    const { usage } = await answer(app, { input: "Hello" })
    expect(usage!.total_tokens).toBe(usage!.input_tokens + usage!.output_tokens)
  })

  it("repeats what was asked for", async () => {
    const asked = {
      model: "scripted",
      instructions: "Be brief.",
      metadata: { a: "b" },
      temperature: 0.5,
      top_p: 0.25,
      max_output_tokens: 99,
      parallel_tool_calls: false,
      tools: [weather, patch],
      tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "custom", name: "patch" }] },
      reasoning: { effort: "high", summary: "auto" },
      text: { format: { type: "json_object" }, verbosity: "low" },
      user: "me",
      prompt_cache_key: "k",
      safety_identifier: "s",
      store: false,
    }
    const response = await answer(appOf(scriptedModel(() => `${FINAL}{}<|return|>`)), { ...asked, input: "Hello" })
    expect(response).toMatchObject(asked)
  })

  it("renders what the model knows of a request", async () => {
    let prompt = ""
    const app = appOf(
      scriptedModel((text) => {
        prompt = text
        return `${FINAL}Yes.<|return|>`
      }),
    )
    await answer(app, {
      instructions: "Be brief.",
      reasoning: { effort: "high" },
      tools: [weather, patch, { type: "web_search" }, { type: "namespace", name: "x", tools: [] }],
      input: [
        {
          role: "developer",
          content: [
            { type: "input_text", text: "And " },
            { type: "input_text", text: "kind." },
          ],
        },
        { type: "message", role: "user", content: "Weather?" },
        { type: "reasoning", id: "rs_1", summary: [], content: [{ type: "reasoning_text", text: "I think." }] },
        { type: "web_search_call", id: "ws_1", status: "completed" },
        { type: "message", role: "assistant", content: [{ type: "output_text", text: "I look.", annotations: [] }] },
        { type: "function_call", call_id: "1", name: "weather", arguments: "{}" },
        { type: "custom_tool_call", call_id: "2", name: "patch", input: "+a" },
        { type: "function_call_output", call_id: "1", output: [{ type: "input_text", text: "Rain" }] },
        { type: "custom_tool_call_output", call_id: "2", output: "done" },
        { type: "local_shell_call", call_id: "3", action: { type: "exec", command: ["ls"] }, status: "completed" },
        { type: "local_shell_call_output", id: "3", output: "a.txt" },
      ],
    })
    expect(prompt).toContain("Reasoning: high")
    expect(prompt).toContain("# Instructions\n\nBe brief.\n\nAnd kind.")
    expect(prompt).toContain("The input is text of this lark grammar:\n// start: /.+/")
    expect(prompt).toContain("<|start|>user<|message|>Weather?<|end|>")
    expect(prompt).toContain(
      "<|start|>assistant<|channel|>analysis<|message|>I think.<|end|>" +
        "<|start|>assistant<|channel|>commentary<|message|>I look.<|end|>" +
        "<|start|>assistant to=functions.weather<|channel|>commentary <|constrain|>json<|message|>{}<|call|>",
    )
    expect(prompt).toContain("<|start|>functions.weather to=assistant<|channel|>commentary<|message|>Rain<|end|>")
    expect(prompt).toContain("<|start|>functions.patch to=assistant<|channel|>commentary<|message|>done<|end|>")
    expect(prompt).toContain("a.txt<|end|><|start|>assistant")
    expect(prompt).not.toContain("web_search")
  })

  it("takes instructions for a prompt", async () => {
    let prompt = ""
    const app = appOf(
      scriptedModel((text) => {
        prompt = text
        return `${FINAL}Yes.<|return|>`
      }),
    )
    await answer(app, { instructions: "Say yes." })
    expect(prompt).toMatch(/developer<\|message\|># Instructions\n\nSay yes.<\|end\|><\|start\|>assistant$/)
  })

  it("reads reasoning back from encrypted_content", async () => {
    const prompts: string[] = []
    const app = appOf(
      scriptedModel((text) => {
        prompts.push(text)
        return `${THOUGHT}${FINAL}Yes.<|return|>`
      }),
    )
    const question = { role: "user", content: "Weather?" }
    const { output } = await answer(app, { input: [question], include: ["reasoning.encrypted_content"], store: false })
    const { content: _, ...reasoning } = output[0] as ReasoningItem
    // A call of which the model's memory has nothing.
    const call = { type: "function_call", call_id: "1", name: "weather", arguments: "{}" }
    const result = { type: "function_call_output", call_id: "1", output: "Rain" }
    await answer(app, { tools: [weather], input: [question, reasoning, call, result] })
    expect(prompts[1]).toContain("<|channel|>analysis<|message|>Hm, ä 😀.<|end|>")
    // Another server's says nothing.
    const foreign = { ...reasoning, encrypted_content: "gAAAAB" }
    await answer(app, { tools: [weather], input: [question, foreign, call, result] })
    expect(prompts[2]).not.toContain("analysis<|message|>")
  })

  it("answers Codex", async () => {
    // 0.171.0's second request of a turn, its texts and tools cut short.
    const path = new URL("../../../../test/server/responses/fixtures/codex_request.json", import.meta.url)
    const request = JSON.parse(readFileSync(path, "utf8"))
    let prompt = ""
    const model = scriptedModel(
      (text) => {
        prompt = text
        return THOUGHT + PREAMBLE + PATCH.replace("patch", "apply_patch")
      },
      request.model,
      1 << 16,
    )
    const read = await events(appOf(model), request)
    expect(followed(read)).toMatchObject([
      { type: "reasoning", encrypted_content: expect.any(String) },
      { type: "message", phase: "commentary" },
      { type: "custom_tool_call", name: "apply_patch", input: "*** Begin\n+ä 😀", call_id: expect.any(String) },
    ])
    expect(prompt).toContain("type exec_command =")
    expect(prompt).toContain("begin_patch:")
    expect(prompt).not.toMatch(/web_search|multi_agent/)
    expect(prompt).toMatch(/analysis<\|message\|>I have to read the file.*to=functions.apply_patch.*Exit code: 0/s)
  })

  it.each<[string, object, string]>([
    ["no input", {}, "input"],
    ["an empty input", { input: [] }, "input"],
    ["a number", { input: 1 }, "input"],
    ["no item", { input: [null] }, "input.0"],
    ["an unknown item", { input: [{ type: "wish" }] }, "input.0.type"],
    ["an unknown role", { input: [{ role: "god", content: "" }] }, "input.0.role"],
    [
      "an image",
      { input: [{ role: "user", content: [{ type: "input_image", image_url: "data:," }] }] },
      "input.0.content.0.type",
    ],
    [
      "a file",
      { input: [{ role: "user", content: [{ type: "input_file", file_id: "f" }] }] },
      "input.0.content.0.type",
    ],
    ["a lost output", { input: [{ type: "function_call_output", call_id: "x", output: "" }] }, "input.0.call_id"],
    ["a call without a name", { input: [{ type: "function_call", call_id: "x", arguments: "" }] }, "input.0.name"],
    ["temperature", { input: "a", temperature: 3 }, "temperature"],
    ["max_output_tokens", { input: "a", max_output_tokens: 0 }, "max_output_tokens"],
    ["top_logprobs", { input: "a", top_logprobs: 21 }, "top_logprobs"],
    ["a parameter of chat completions", { input: "a", max_tokens: 5 }, "max_tokens"],
    ["a conversation", { input: "a", conversation: "conv_1" }, "conversation"],
    ["an effort", { input: "a", reasoning: { effort: "huge" } }, "reasoning.effort"],
    ["a format", { input: "a", text: { format: { type: "xml" } } }, "text.format.type"],
    ["a schema", { input: "a", text: { format: { type: "json_schema", name: "a", schema: 1 } } }, "text.format.schema"],
    ["a tool without a type", { input: "a", tools: [{ name: "a" }] }, "tools.0.type"],
    ["a tool's name", { input: "a", tools: [{ type: "x" }, { type: "function", name: "a b" }] }, "tools.1.name"],
    ["a name twice", { input: "a", tools: [{ type: "x" }, weather, weather] }, "tools.2.name"],
    ["a choice of nothing", { input: "a", tool_choice: "required" }, "tool_choice"],
    [
      "a choice of a stranger",
      { input: "a", tools: [weather], tool_choice: { type: "function", name: "b" } },
      "tool_choice.name",
    ],
    [
      "allowing a stranger",
      {
        input: "a",
        tools: [weather],
        tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "mcp" }, { type: "custom", name: "b" }] },
      },
      "tool_choice.tools.1",
    ],
    [
      "two calls of one id",
      {
        input: [
          { role: "user", content: "a" },
          { type: "web_search_call", id: "w" },
          { type: "function_call", call_id: "x", name: "a", arguments: "" },
          { type: "function_call", call_id: "x", name: "b", arguments: "" },
        ],
      },
      "input.3.call_id",
    ],
    ["metadata", { input: "a", metadata: { a: 1 } }, "metadata.a"],
    ["an identifier", { input: "a", safety_identifier: "x".repeat(65) }, "safety_identifier"],
    ["background that streams", { input: "a", background: true, stream: true }, "background"],
    ["background that is not kept", { input: "a", background: true, store: false }, "background"],
  ])("refuses %s, and names it", async (_, body, param) => {
    const error = await refusal(appOf(scriptedModel(() => `${FINAL}Yes.<|return|>`)), body)
    expect(error).toMatchObject({ status: 400, type: "invalid_request_error", param })
    expect(error.message).toContain(param)
    const streamed = await refusal(appOf(scriptedModel(() => `${FINAL}Yes.<|return|>`)), { stream: true, ...body })
    expect(streamed).toEqual(error)
  })

  it.each<[object, string]>([
    [{ text: { format: { type: "json_schema", name: "x", schema: IMPOSSIBLE } } }, "text.format"],
    [{ tools: [{ type: "mcp" }, weather, { ...weather, name: "h", parameters: IMPOSSIBLE, strict: true }] }, "tools.2"],
  ])("refuses what no grammar holds to: %j", async (body, param) => {
    const error = await refusal(appOf(new LocalModel(await loadModel("models/minerva-tiny"))), { input: "a", ...body })
    expect(error).toMatchObject({ status: 400, param, message: expect.stringContaining("properties.a.not") })
  })

  it("refuses a conversation that is too long, with both numbers; in a stream where clients look for it", async () => {
    const app = appOf(scriptedModel(() => `${FINAL}Yes.<|return|>`))
    const body = { input: "a".repeat(5000), truncation: "auto" }
    const error = await refusal(app, body)
    expect(error).toMatchObject({ status: 400, code: "context_length_exceeded" })
    expect(error.message).toMatch(/4096.*5\d\d\d/)
    const read = await events(app, body)
    expect(read.map(({ type }) => type).slice(2)).toEqual(["error", "response.failed"])
    expect(read.at(-1)!.response).toMatchObject({
      status: "failed",
      error: { code: "context_length_exceeded", message: error.message },
    })
  })

  it("refuses a model that is not there", async () => {
    const error = await refusal(appOf(scriptedModel(() => "")), { model: "other", input: "a", stream: true })
    expect(error).toMatchObject({ status: 404, code: "model_not_found", param: "model" })
  })

  it("tells in the stream what fails in its middle", async () => {
    const model = scriptedModel(() => `${FINAL}Yes.<|return|>`)
    const broken = {
      info: model.info,
      async *chat() {
        yield { type: "start", prompt_tokens: 1, cached_tokens: 0 } as const
        yield { type: "content", text: "Y" } as const
        throw new RequestError("internal", "the model failed")
      },
    } as unknown as typeof model
    const read = await events(appOf(broken), { input: "a" })
    expect(read.slice(-2)).toMatchObject([
      { type: "error", code: "server_error", param: null },
      { type: "response.failed", response: { status: "failed", error: { code: "server_error" } } },
    ])
  })

  it("has a number for tokens that cannot be", async () => {
    const model = scriptedModel(() => "")
    const never = { token: 1, text: "a", bytes: [97], logprob: Number.NEGATIVE_INFINITY }
    const sure = {
      info: model.info,
      async *chat() {
        yield { type: "content", text: "a", logprobs: [{ ...never, logprob: 0, top_logprobs: [never] }] } as const
        throw new RequestError("timeout", "late")
      },
    } as unknown as typeof model
    const read = await events(appOf(sure), { input: "a", top_logprobs: 1 })
    expect(read.find(({ logprobs }) => logprobs)).toMatchObject({
      logprobs: [{ token: "a", logprob: 0, top_logprobs: [{ token: "a", logprob: -9999, bytes: [97] }] }],
    })
  })

  it("frees the model when a reader leaves", async () => {
    let isOver = false
    const model = scriptedModel(() => "")
    const endless = {
      info: model.info,
      async *chat() {
        try {
          for (;;) yield { type: "content", text: "a" } as const
        } finally {
          isOver = true
        }
      },
    } as unknown as typeof model
    const response = await ask(appOf(endless), { input: "a", stream: true })
    const reader = response.body!.getReader()
    await reader.read()
    expect(isOver).toBe(false)
    await reader.cancel()
    expect(isOver).toBe(true)
  })

  it("counts the tokens of what it would read", async () => {
    const app = appOf(scriptedModel(() => `${FINAL}Yes.<|return|>`))
    const body = { input: "Hello", instructions: "Be brief.", tools: [weather] }
    const counted = await (await ask(app, body, "/v1/responses/input_tokens")).json()
    expectOpenAI("TokenCountsResource", counted)
    expect(counted).toMatchObject({ input_tokens: (await answer(app, body)).usage!.input_tokens })
    const stranger = { ...body, tool_choice: { type: "function", name: "b" } }
    const refused = await ask(app, stranger, "/v1/responses/input_tokens")
    expect(await refused.json()).toMatchObject({ error: { param: "tool_choice.name" } })
  })
})
