import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { ConversationOptions, Tool } from "../text/messages.js"
import type { ChatMessage } from "./chat_messages.js"
import type { LanguageModel } from "./model.js"
import { loadModel } from "./node_model.js"

const path = (name: string) => fileURLToPath(new URL(`../../../${name}`, import.meta.url))

interface HeldOut {
  readonly sums: { question: string; answer: string }[]
  readonly tool_calls: {
    tools: { function: Tool }[]
    messages: ChatMessage[]
    reasoning_effort: ConversationOptions["reasoning_effort"]
    name: string
    arguments: Record<string, unknown>
  }[]
}

/** Questions the model never saw (tools/train/fixtures.py); tools/evaluate-held-out.mjs asks all of them. */
const heldOut = JSON.parse(readFileSync(path("tools/train/fixtures/held_out.json"), "utf8")) as HeldOut

describe("minerva-tiny through the whole house", () => {
  let model: LanguageModel
  beforeAll(async () => {
    model = await loadModel(path("models/minerva-tiny"), { device: "cpu" })
  })
  afterAll(() => model.close())

  async function answer(messages: ChatMessage[], options: ConversationOptions = {}) {
    for await (const event of model.chat(messages, { temperature: 0, max_tokens: 400, ...options })) {
      if (event.type === "summary") return event
    }
    throw new Error("no summary")
  }

  it("thinks on the analysis channel and answers on the final one", async () => {
    const { message, finish_reason } = await answer([{ role: "user", content: "What is 17 + 25?" }])
    expect(message.reasoning).toBeTruthy()
    expect(message.content).toContain("42")
    expect(finish_reason).toBe("stop")
  })

  it("adds held-out two-digit numbers", async () => {
    let right = 0
    for (const { question, answer: expected } of heldOut.sums.slice(0, 20)) {
      const { message } = await answer([{ role: "user", content: question }])
      if (message.content.match(/\d+/g)?.at(-1) === expected) right++
    }
    expect(right).toBeGreaterThanOrEqual(19)
  })

  it("never leaves harmony's framing where tools are on offer, however it is sampled", async () => {
    const { tools, messages } = heldOut.tool_calls[0]
    const header =
      / to=functions\.(\w+)<\|channel\|>commentary|<\|channel\|>(analysis|final|commentary( to=functions\.(\w+))?)/
    const message = `(${header.source})( <\\|constrain\\|>json)?<\\|message\\|>((?!<\\|)[^])*`
    const turn = new RegExp(`^(${message}<\\|end\\|><\\|start\\|>assistant)*${message}(<\\|(call|return)\\|>)?$`)
    const names = new Set(tools.map((tool) => tool.function.name))
    // Some of the turns are pressed to write this or that token everywhere.
    const pressed = ["", "<|start|>", "<|channel|>", "<|end|>", "<|endoftext|>", "<|call|>"]
    for (let seed = 0; seed < 12; seed++) {
      const logit_bias = Object.fromEntries(model.text.encodeSpecial(pressed[seed % 6]).map((id) => [id, 15]))
      const options = {
        tools: tools.map((tool) => tool.function),
        temperature: 1.5,
        seed,
        max_tokens: 120,
        logit_bias,
      }
      const written: number[] = []
      for await (const event of model.chat(messages, options)) {
        if (event.type === "token") written.push(event.token)
        if (event.type === "tool_call_start") expect(names).toContain(event.name)
      }
      const text = model.text.decode(written)
      // One that is cut off may be so in a header.
      if (written.length < 120) expect(text).toMatch(turn)
      else expect(text.slice(0, text.lastIndexOf("<|message|>") + 11)).toMatch(turn)
    }
  })

  it("answers with what a schema allows, and calls a strict tool as its schema says, however it is sampled", async () => {
    const schema = {
      type: "object",
      properties: { city: { enum: ["Oslo", "Paris"] }, days: { type: "integer", minimum: 1, maximum: 9 } },
      required: ["city", "days"],
      additionalProperties: false,
    }
    const sampling = { temperature: 1.5, max_tokens: 600, reasoning_effort: "low" as const }
    const fits = { city: expect.stringMatching(/^(Oslo|Paris)$/), days: expect.any(Number) }
    for (let seed = 0; seed < 3; seed++) {
      const ask: ChatMessage[] = [{ role: "user", content: "Where to?" }]
      const response_format = { type: "json_schema", name: "trip", schema } as const
      const spoken = await answer(ask, { ...sampling, ...{ seed }, response_format })
      if (spoken.finish_reason === "stop") expect(JSON.parse(spoken.message.content)).toEqual(fits)
      const tools = [{ name: "go", parameters: schema, strict: true }]
      const called = await answer(ask, { ...sampling, ...{ seed }, tools, tool_choice: "required" })
      if (called.finish_reason === "length") continue
      expect(called.finish_reason).toBe("tool_calls")
      expect(JSON.parse(called.message.tool_calls![0].arguments)).toEqual(fits)
    }
  })

  it("calls tools with valid JSON arguments", async () => {
    let right = 0
    for (const { tools, messages, reasoning_effort, ...expected } of heldOut.tool_calls.slice(0, 10)) {
      const { message, finish_reason } = await answer(messages, {
        tools: tools.map((tool) => tool.function),
        reasoning_effort,
      })
      const [call] = message.tool_calls ?? []
      if (finish_reason !== "tool_calls" || call?.name !== expected.name) continue
      expect(() => JSON.parse(call.arguments)).not.toThrow()
      right++
    }
    expect(right).toBeGreaterThanOrEqual(9)
  })

  it("remembers what was said earlier, from the cache", async () => {
    const turns: ChatMessage[] = [{ role: "user", content: "What is 17 + 25?" }]
    const first = await answer(turns)
    const again = await answer([...turns, first.message, { role: "user", content: "What is 30 + 12?" }])
    expect(again.cached_tokens).toBeGreaterThan(0)
    expect(again.message.content).toContain("42")
  })
})
