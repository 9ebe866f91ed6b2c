import type { MiddlewareHandler } from "hono"
import { currentRequest } from "../node_current_request.js"
import type { OpenRequests } from "../open_requests.js"

/** Lets in as many requests as there may be at once: see {@link OpenRequests}. */
export function admission(open: OpenRequests): MiddlewareHandler {
  return async (_, next) => {
    const request = currentRequest.getStore()
    if (request) open.admit(request)
    await next()
  }
}
