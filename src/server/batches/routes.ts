import { Hono } from "hono"
import * as z from "zod"
import { isObject } from "../../engine/schemas.js"
import { parseBody, readJson } from "../body.js"
import type { ServerContext } from "../context.js"
import { describeRoute } from "../openapi.js"
import type { RequestError } from "../request_error.js"
import type { Batches } from "./batches.js"
import { expiry } from "./expiry.js"
import { addFileRoutes } from "./file_routes.js"
import { listOf, page, wholeNumber } from "./page.js"

/** What the requests of a batch may be for. */
export const ENDPOINTS = ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"] as const

/** Hours of a completion window, at most: 30 days. */
const MOST_HOURS = 720

const text = z.string({ error: "expected a string" })

const metadata = z.custom<Record<string, string>>(
  (value) =>
    isObject(value) &&
    Object.keys(value).length <= 16 &&
    Object.entries(value).every(([key, it]) => key.length <= 64 && typeof it === "string" && it.length <= 512),
  { error: "expected an object of up to 16 strings of up to 512 characters, with names of up to 64" },
)

/** OpenAI knows "24h" alone; a slow machine may want more. */
const hours = z
  .string({ error: 'expected "24h"' })
  .refine((value) => /^[1-9]\d{0,2}h$/.test(value) && Number.parseInt(value, 10) <= MOST_HOURS, {
    error: `expected "24h", or another number of hours up to "${MOST_HOURS}h"`,
  })

const newBatch = z.strictObject({
  input_file_id: text,
  endpoint: z.enum(ENDPOINTS, { error: `expected one of ${ENDPOINTS.join(", ")}` }),
  completion_window: hours,
  metadata: metadata.nullish(),
  output_expires_after: expiry.nullish(),
})

const batchQuery = z.object({ after: text.optional(), limit: wholeNumber(1, 100).default(20) })

/** OpenAI's Files and Batches: /v1/files and /v1/batches. */
export function batchesRoutes({ max_body }: Pick<ServerContext, "max_body">, batches: Batches): Hono {
  const app = new Hono()
  addFileRoutes(app, batches.files)

  app.post("/v1/batches", describeRoute({ summary: "Begins a batch", body: newBatch }), async (c) => {
    const body = parseBody(newBatch, await readJson(c.req.raw, max_body))
    const { output_expires_after, metadata = null, ...asked } = body
    const window = Number.parseInt(asked.completion_window, 10) * 3600
    return c.json(await batches.create({ ...asked, window, metadata, keep_output: output_expires_after?.seconds }))
  })
  app.get("/v1/batches", describeRoute({ summary: "The batches", query: batchQuery }), async (c) => {
    const query = parseBody(batchQuery, c.req.query())
    const list = page(await batches.list(), { ...query, order: "desc" })
    return c.json(listOf({ ...list, items: await Promise.all(list.items.map((batch) => batches.counted(batch))) }))
  })
  app.get("/v1/batches/:id", describeRoute({ summary: "A batch" }), async (c) =>
    c.json(await batches.get(c.req.param("id"))),
  )
  app.post("/v1/batches/:id/cancel", describeRoute({ summary: "Ends a batch early" }), async (c) =>
    c.json(await batches.cancel(c.req.param("id"))),
  )
  return app
}

/** An error in OpenAI's shape. */
export function batchesError({ status, kind, message, param, code }: RequestError): { status: number; body: unknown } {
  const type =
    kind === "internal" ? "server_error" : kind === "overloaded" ? "rate_limit_error" : "invalid_request_error"
  return { status, body: { error: { message, type, param, code } } }
}
