import { describe, expect, it } from "vitest"
import { expectOpenAI } from "../../../test/server/openai_schemas.js"
import { answer, appOf, ask, events, refusal } from "../../../test/server/responses/checked.js"
import { CALL, FINAL, THOUGHT, weather } from "../../../test/server/responses/turns.js"
import { directoryOf, scriptedModel } from "../../../test/server/scripted_model.js"
import { RequestError } from "../request_error.js"
import type { ModelDirectory } from "../served_model.js"
import type { ResponseObject } from "./response.js"
import { BackgroundResponses } from "./background.js"
import { responsesRoutes } from "./routes.js"
import { MemoryResponseStore } from "./store.js"

describe("responses that are kept", () => {
  const echo = () => scriptedModel((prompt) => `${FINAL}${prompt.split("<|start|>user").length - 1}<|return|>`)
  const get = async (app: ReturnType<typeof appOf>, path: string, method = "GET") => {
    const response = await app.request(path, { method })
    return { status: response.status, json: (await response.json()) as ResponseObject & { error: { param: string } } }
  }

  it("are continued, retrieved and deleted", async () => {
    const app = appOf(echo())
    const first = await answer(app, { input: "One" })
    const second = await answer(app, { input: "Two", previous_response_id: first.id })
    const third = await events(app, { input: "Three", previous_response_id: second.id })
    expect(third.at(-1)!.response).toMatchObject({
      previous_response_id: second.id,
      output: [{ content: [{ text: "3" }] }],
    })

    expect(await get(app, `/v1/responses/${second.id}`)).toEqual({ status: 200, json: second })
    const deleted = await get(app, `/v1/responses/${first.id}`, "DELETE")
    expect(deleted.json).toEqual({ id: first.id, object: "response", deleted: true })
    expect(await get(app, `/v1/responses/${first.id}`)).toMatchObject({
      status: 404,
      json: { error: { param: "response_id" } },
    })
    expect((await get(app, `/v1/responses/${first.id}`, "DELETE")).status).toBe(404)
    // Never is a conversation continued without its beginning.
    const error = await refusal(app, { input: "Four", previous_response_id: second.id })
    expect(error).toMatchObject({ status: 404, param: "previous_response_id" })
    expect(error.message).toContain(first.id)
  })

  it("are not those with store: false, nor unknown ones", async () => {
    const app = appOf(echo())
    const { id } = await answer(app, { input: "One", store: false })
    for (const unknown of [id, "resp_x", "__proto__", ""]) {
      const error = await refusal(app, { input: "Two", previous_response_id: unknown, stream: true })
      expect(error).toMatchObject({ status: 404, param: "previous_response_id", code: "previous_response_not_found" })
    }
  })

  it("do not hand on their instructions", async () => {
    const prompts: string[] = []
    const app = appOf(
      scriptedModel((prompt) => {
        prompts.push(prompt)
        return `${FINAL}Yes.<|return|>`
      }),
    )
    const { id } = await answer(app, { input: "One", instructions: "Be brief." })
    await answer(app, { input: "Two", previous_response_id: id })
    expect(prompts.map((prompt) => prompt.includes("Be brief."))).toEqual([true, false])
  })

  it("are referred to by their items", async () => {
    const app = appOf(scriptedModel(() => THOUGHT + CALL))
    const first = await answer(app, { input: "One", tools: [weather] })
    const [reasoning, call] = first.output as unknown as [{ id: string }, { id: string; call_id: string }]
    const references = [reasoning, call].map(({ id }) => ({ type: "item_reference", id }))
    const result = { type: "function_call_output", call_id: call.call_id, output: "Rain" }
    const second = await answer(app, {
      input: [{ role: "user", content: "One" }, ...references, result],
      tools: [weather],
    })
    const continued = await answer(app, { input: [result], previous_response_id: first.id, tools: [weather] })
    expect(second.usage!.input_tokens).toBe(continued.usage!.input_tokens)
    const error = await refusal(app, { input: [{ type: "item_reference", id: "rs_unknown" }] })
    expect(error).toMatchObject({ status: 404, param: "input.0.id" })
  })

  it("list their input in pages", async () => {
    const app = appOf(echo())
    const input = Array.from({ length: 5 }, (_, i) => ({ role: i % 2 ? "assistant" : "user", content: `${i}` }))
    const { id } = await answer(app, { input: [...input, { type: "web_search_call", id: "ws_1" }] })
    const page = async (query: string) => {
      const response = await app.request(`/v1/responses/${id}/input_items${query}`)
      const list = (await response.json()) as { data: { id: string; content: { text: string }[] }[]; has_more: boolean }
      expectOpenAI("ResponseItemList", list)
      return { ...list, texts: list.data.map(({ content }) => content[0].text).join("") }
    }
    expect(await page("")).toMatchObject({ texts: "43210", has_more: false })
    const first = await page("?limit=2&order=asc")
    expect(first).toMatchObject({ texts: "01", has_more: true })
    expect(await page(`?limit=3&order=asc&after=${first.data[1].id}`)).toMatchObject({ texts: "234", has_more: false })
    for (const query of ["?limit=0", "?limit=x", "?limit=101", "?order=up", "?after=x"]) {
      expect((await app.request(`/v1/responses/${id}/input_items${query}`)).status).toBe(400)
    }
  })

  it("may be made in the background", async () => {
    const app = appOf(echo())
    const begun = await answer(app, { input: "One", background: true })
    expect(begun).toMatchObject({ status: "queued", background: true, output: [] })
    const done = async () => (await get(app, `/v1/responses/${begun.id}`)).json
    await expect.poll(async () => (await done()).status).toBe("completed")
    expect(await done()).toMatchObject({ id: begun.id, output: [{ content: [{ text: "1" }] }] })
    expect((await get(app, `/v1/responses/${begun.id}/cancel`, "POST")).json.status).toBe("completed")
  })

  it("free the model where there is no room for them in the background", async () => {
    let holds = 0
    const models: ModelDirectory = {
      ...directoryOf(echo()),
      hold: async () => {
        holds++
        return { model: echo(), release: () => holds-- }
      },
    }
    const full = new MemoryResponseStore()
    full.put = () => Promise.reject(new RequestError("unavailable", "the disk is full"))
    const app = responsesRoutes({ models, max_body: 1000, version: "1.2.3", responses: new BackgroundResponses(full) })
    app.onError((error, c) => c.text(error.message, 503))
    const response = await ask(app, { input: "One", background: true })
    expect([response.status, await response.text(), holds]).toEqual([503, "the disk is full", 0])
  })

  it("are cancelled in the background alone", async () => {
    let isOver = false
    const model = scriptedModel(() => "")
    const endless = {
      info: model.info,
      async *chat(_: unknown, { signal }: { signal: AbortSignal }) {
        yield { type: "content", text: "a" } as const
        await new Promise((resolve) => signal.addEventListener("abort", resolve))
        isOver = true
        signal.throwIfAborted()
      },
    } as unknown as typeof model
    const app = appOf(endless)
    const { id } = await answer(app, { input: "One", background: true })
    const error = await refusal(app, { input: "Two", previous_response_id: id })
    expect(error).toMatchObject({ status: 400, param: "previous_response_id" })
    expect((await get(app, `/v1/responses/${id}/cancel`, "POST")).json.status).toBe("cancelled")
    expect(isOver).toBe(true)

    const other = appOf(echo())
    const foreground = await answer(other, { input: "One" })
    expect((await get(other, `/v1/responses/${foreground.id}/cancel`, "POST")).status).toBe(400)
  })
})
