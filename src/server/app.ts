import { Hono } from "hono"
import type { ServerContext } from "./context.js"
import { asRequestError } from "./faults.js"

/** All routes. */
export function createApp(_context: ServerContext): Hono {
  const app = new Hono()
  app.get("/health", (c) => c.json({ status: "ok" }))
  app.onError((error, c) => {
    const { message, status } = asRequestError(error)
    return c.json({ error: { message } }, status as 500)
  })
  return app
}
