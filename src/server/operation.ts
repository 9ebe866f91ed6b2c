import { Hono } from "hono"
import * as z from "zod"
import type { ServerMetrics } from "./metrics.js"
import { describeRoute, openApiDocument } from "./openapi.js"

/** Whether requests are welcome. */
export type Readiness = "loading" | "ready" | "draining"

const status = z.object({ status: z.string() })

/** For whoever keeps the server running. They need no key. */
export function probeRoutes(readiness: () => Readiness): Hono {
  const app = new Hono()
  // Where Ollama's clients look whether somebody is there.
  app.get("/", describeRoute({ summary: "Says hello", content_type: "text/plain" }), (c) =>
    c.text("Minerva is running"),
  )
  app.get("/health", describeRoute({ summary: "Whether the server is alive", response: status }), (c) =>
    c.json({ status: "ok" }),
  )
  app.get("/ready", describeRoute({ summary: "Whether it takes requests: 503 if not", response: status }), (c) => {
    const now = readiness()
    return c.json({ status: now }, now === "ready" ? 200 : 503, now === "ready" ? {} : { "retry-after": "1" })
  })
  return app
}

/** What the server tells of itself. */
export function insightRoutes(app: Hono, metrics: ServerMetrics, version: string): Hono {
  const routes = new Hono()
  routes.get(
    "/metrics",
    describeRoute({ summary: "Measurements, for Prometheus", content_type: "text/plain" }),
    async (c) => c.body(await metrics.text(), 200, { "content-type": metrics.contentType }),
  )
  let document: object | undefined
  routes.get("/openapi.json", describeRoute({ summary: "This document" }), (c) => {
    document ??= openApiDocument(app, version)
    return c.json(document)
  })
  return routes
}
