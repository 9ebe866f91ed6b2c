import { serve } from "@hono/node-server"
import { Hono } from "hono"
import type { AddressInfo } from "node:net"
import type { Batches } from "../../../src/server/batches/batches.js"
import { batchesError, batchesRoutes } from "../../../src/server/batches/routes.js"
import type { Dispatch } from "../../../src/server/batches/answer.js"
import { asRequestError } from "../../../src/server/faults.js"
import { scriptedModel } from "../scripted_model.js"

const MAX_BODY = 1 << 20

/** Chat completions of a model that repeats what it is asked: just enough of them for batches to have something to call. */
export function chatCompletions(): Dispatch {
  const model = scriptedModel((prompt) => `<|channel|>final<|message|>You said ${said(prompt)}<|return|>`)
  const app = new Hono()
  app.post("/v1/chat/completions", async (c) => {
    const { messages, max_tokens } = await c.req.json()
    let content = ""
    for await (const event of model.chat(messages, { max_tokens, signal: c.req.raw.signal })) {
      if (event.type === "content") content += event.text
    }
    const usage = { prompt_tokens: 5, completion_tokens: 3, completion_tokens_details: { reasoning_tokens: 1 } }
    return c.json({
      object: "chat.completion",
      choices: [{ index: 0, message: { role: "assistant", content } }],
      usage,
    })
  })
  return async (request) => app.fetch(request)
}

const said = (prompt: string) => /<\|start\|>user<\|message\|>(.*?)<\|end\|>/s.exec(prompt)?.[1] ?? ""

/** The routes with OpenAI's errors. */
export function batchesApp(batches: Batches, max_body = MAX_BODY): Hono {
  const app = new Hono()
  app.route("/", batchesRoutes({ max_body }, batches))
  app.onError((error, c) => {
    const { status, body } = batchesError(asRequestError(error))
    return c.json(body as object, status as 500)
  })
  return app
}

/** Serves on a free port. */
export function listen(app: Hono): Promise<{ url: string; close: () => void }> {
  return new Promise((resolve) => {
    const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }: AddressInfo) => {
      resolve({ url: `http://127.0.0.1:${port}/v1`, close: () => server.close() })
    })
  })
}

/** So many requests, one a line: the n-th says `line n`. */
export function inputOf(count: number): string {
  const request = (n: number) => ({
    custom_id: `request-${n}`,
    method: "POST",
    url: "/v1/chat/completions",
    body: { model: "scripted", messages: [{ role: "user", content: `line ${n}` }] },
  })
  return Array.from({ length: count }, (_, n) => `${JSON.stringify(request(n))}\n`).join("")
}
