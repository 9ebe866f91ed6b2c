import { Hono } from "hono"
import { z } from "zod"
import type { Routes } from "../../src/server/app.js"
import { parseBody, readJson } from "../../src/server/body.js"
import { type SseMessage, sseResponse } from "../../src/server/event_stream.js"
import { asRequestError } from "../../src/server/faults.js"
import { describeRoute } from "../../src/server/openapi.js"
import { type ErrorKind, RequestError } from "../../src/server/request_error.js"
import type { HeldModel } from "../../src/server/served_model.js"

const body = z.object({
  model: z.string({ error: "a string" }).optional(),
  content: z.string({ error: "a string" }),
  stream: z.boolean({ error: "true or false" }).optional(),
})

/** The paths of one protocol each, by the shapes of their errors. */
export const PATHS = ["/v1/chat/completions", "/v1/messages", "/api/chat"] as const

/** As little of a protocol as shows what all of them share: a question, its answer as text or as events. */
export const plainRoutes: Routes = ({ models, max_body }) => {
  const app = new Hono()
  for (const path of PATHS) {
    app.post(path, describeRoute({ summary: "Answers", body, response: z.object({ text: z.string() }) }), async (c) => {
      const { model, content, stream } = parseBody(body, await readJson(c.req.raw, max_body))
      const held = await models.hold(model)
      if (stream) return sseResponse(events(held, content))
      let text = ""
      for await (const message of events(held, content, true)) text += message.data
      return c.json({ text })
    })
  }
  return app
}

async function* events({ model, release }: HeldModel, content: string, whole = false): AsyncGenerator<SseMessage> {
  try {
    for await (const event of model.chat([{ role: "user", content }], {})) {
      if (event.type === "content") yield { data: event.text }
    }
  } catch (error) {
    if (whole) throw error
    yield { event: "error", data: asRequestError(error).message }
  } finally {
    release()
  }
}

/** `/v1/fail/KIND`, `/v1/messages/fail/KIND` and `/api/fail/KIND` fail so. */
export const failingRoutes: Routes = () => {
  const app = new Hono()
  for (const prefix of ["/v1", "/v1/messages", "/api"]) {
    app.get(`${prefix}/fail/bug`, () => {
      throw new TypeError("secrets of the house")
    })
    app.get(`${prefix}/fail/stream`, () => sseResponse(broken("word")))
    app.get(`${prefix}/fail/first`, () => sseResponse(broken()))
    app.get(`${prefix}/fail/:kind`, (c) => {
      const details = { param: "some.field", code: "some_code", retry_after: 1.5 }
      throw new RequestError(c.req.param("kind") as ErrorKind, "what went wrong", details)
    })
  }
  return app
}

async function* broken(...words: string[]): AsyncGenerator<SseMessage> {
  for (const data of words) yield { data }
  if (words.length > 0) await new Promise((resolve) => setTimeout(resolve, 20))
  throw new TypeError("secrets of the house")
}
