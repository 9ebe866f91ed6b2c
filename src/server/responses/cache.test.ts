import type { Hono } from "hono"
import { beforeAll, describe, expect, it } from "vitest"
import { answer, appOf } from "../../../test/server/responses/checked.js"
import { loadModel } from "../../engine/node_model.js"
import { LocalModel } from "../local_model.js"

const weather = {
  type: "function",
  name: "get_weather",
  description: "Tells the weather.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  strict: true,
}

const CITIES: Record<string, string> = {
  "resends everything": "Paris",
  "resends sealed reasoning": "Berlin",
  "continues a response": "Rome",
}

describe("the second turn of a tool loop", () => {
  let app: Hono
  beforeAll(async () => {
    app = appOf(new LocalModel(await loadModel("models/minerva-tiny")))
  })

  it.each(Object.entries(CITIES))("finds what the first one computed where the client %s", async (how, city) => {
    // Of each client its own, so that none finds what another's turn left.
    const question = { role: "user", content: `What is the weather in ${city}?` }
    const asked = { tools: [weather], temperature: 0, include: ["reasoning.encrypted_content"] }
    const first = await answer(app, { ...asked, input: [question] })
    const called = first.output.find((item) => item.type === "function_call")!
    expect(first.output.map(({ type }) => type)).toEqual(["reasoning", "function_call"])
    const result = { type: "function_call_output", call_id: called.call_id, output: "Sunny, 21 degrees" }
    const sealed = first.output.map((item) => (item.type === "reasoning" ? { ...item, content: undefined } : item))
    const second = await answer(app, {
      ...asked,
      ...(how === "continues a response"
        ? { previous_response_id: first.id, input: [result] }
        : { input: [question, ...(how === "resends everything" ? first.output : sealed), result] }),
    })
    const { cached_tokens } = second.usage!.input_tokens_details
    // The last token was drawn, and not run yet.
    expect(cached_tokens).toBeGreaterThanOrEqual(first.usage!.total_tokens - 1)
  })
})
