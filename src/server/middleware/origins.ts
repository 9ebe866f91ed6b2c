import type { MiddlewareHandler } from "hono"
import { cors } from "hono/cors"
import { RequestError } from "../request_error.js"

/** What browsers may show to a page beside the body. */
const EXPOSED = ["x-request-id", "request-id", "retry-after"]

/** Lets pages of these origins (`*`: all) read the answers; none by default. */
export function corsList(origins: readonly string[]): MiddlewareHandler {
  const all = origins.includes("*")
  return cors({
    origin: (origin) => (all ? "*" : origins.includes(origin) ? origin : null),
    exposeHeaders: EXPOSED,
    maxAge: 600,
  })
}

/**
 * Refuses what a page of another site sends. It could not read the answer, but the model would work for it: browsers send simple
 * requests first and ask afterwards.
 */
export function originCheck(origins: readonly string[]): MiddlewareHandler {
  return async (c, next) => {
    const origin = c.req.header("origin")
    const isForeign =
      origin !== undefined &&
      !origins.includes("*") &&
      !origins.includes(origin) &&
      (/^https?:\/\//.test(origin)
        ? origin.replace(/^https?:\/\//, "") !== c.req.header("host")
        : c.req.header("sec-fetch-site") === "cross-site")
    if (isForeign && !["GET", "HEAD", "OPTIONS"].includes(c.req.method)) {
      const advice = `if they are meant, start the server with --cors-origin ${origin.slice(0, 100)}`
      throw new RequestError("permission", `pages of ${origin.slice(0, 100)} may not ask this server: ${advice}`)
    }
    await next()
  }
}
